/*
 * Making key files.
 *
 * Promises: a file that exists is left alone and said so; a new one appears whole (written beside,
 * synced, linked into place) with 0600, or 0644 for the public half, whatever the umask; a public
 * key is only made together with its private half, or from it. Secrets never reach stdout, but for
 * init-data-key without a file, which is asked for.
 */
#include "workerd/command.h"

#include "core/crypto.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define KEY_HEX_SIZE (2 * CRYPTO_KEY_SIZE + 1)
#define TOKEN_MAX 256

static bool write_all(int file, const char *text, size_t length)
{
    while (length > 0) {
        ssize_t written = write(file, text, length);

        if (written < 0 && errno == EINTR) {
            continue;
        }
        if (written <= 0) {
            return false;
        }
        text += written;
        length -= (size_t)written;
    }
    return true;
}

/* 32 bytes as a line of hex in a new file. link(2) refuses to replace what is there. */
static bool write_key(const char *path, const uint8_t key[CRYPTO_KEY_SIZE], mode_t mode)
{
    char temporary[PATH_MAX], text[KEY_HEX_SIZE + 1];
    bool done = false;
    int file;

    if (snprintf(temporary, sizeof(temporary), "%s.new.%ld", path, (long)getpid()) >=
        (int)sizeof(temporary)) {
        command_error("the path is too long: %s", path);
        return false;
    }
    file = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (file < 0) {
        command_error("cannot make %s: %s", temporary, strerror(errno));
        return false;
    }
    crypto_hex(key, CRYPTO_KEY_SIZE, text);
    text[KEY_HEX_SIZE - 1] = '\n';
    done = write_all(file, text, KEY_HEX_SIZE) && fchmod(file, mode) == 0 && fsync(file) == 0 &&
           link(temporary, path) == 0;
    if (!done) {
        command_error("cannot write %s: %s", path, strerror(errno));
    }
    crypto_wipe(text, sizeof(text));
    close(file);
    unlink(temporary);
    return done;
}

static bool key_path(const char *directory, const char *name, char path[PATH_MAX])
{
    if (snprintf(path, PATH_MAX, "%s/%s", directory, name) >= PATH_MAX) {
        command_error("the path is too long: %s", directory);
        return false;
    }
    return true;
}

static bool key_exists(const char *path)
{
    struct stat status;

    if (lstat(path, &status) != 0) {
        return false;
    }
    printf("%s exists, left as it is\n", path);
    return true;
}

/* A random symmetric key. */
static bool make_random(const char *directory, const char *name)
{
    uint8_t key[CRYPTO_KEY_SIZE];
    char path[PATH_MAX];
    bool done;

    if (!key_path(directory, name, path)) {
        return false;
    }
    if (key_exists(path)) {
        return true;
    }
    done = crypto_random(key, sizeof(key)) && write_key(path, key, 0600);
    crypto_wipe(key, sizeof(key));
    if (done) {
        printf("%s made\n", path);
    }
    return done;
}

/* The private key first: a public key without its private half would seal what nobody can open. */
static bool make_pair(const char *directory)
{
    uint8_t private_key[CRYPTO_KEY_SIZE] = {0}, public_key[CRYPTO_KEY_SIZE];
    char private_path[PATH_MAX], public_path[PATH_MAX], error[256];
    bool done = false;

    if (!key_path(directory, "seal.private", private_path) ||
        !key_path(directory, "seal.public", public_path)) {
        return false;
    }
    if (key_exists(private_path)) {
        if (!crypto_read_key(private_path, private_key, error, sizeof(error))) {
            command_error("%s", error);
            goto wipe;
        }
    } else {
        if (access(public_path, F_OK) == 0) {
            command_error("%s is there, but not its private half", public_path);
            goto wipe;
        }
        if (!crypto_keypair(public_key, private_key) ||
            !write_key(private_path, private_key, 0600)) {
            goto wipe;
        }
        printf("%s made\n", private_path);
    }
    if (key_exists(public_path)) {
        done = true;
        goto wipe;
    }
    done = crypto_public_key(private_key, public_key) && write_key(public_path, public_key, 0644);
    if (done) {
        printf("%s made\n", public_path);
    }
wipe:
    crypto_wipe(private_key, sizeof(private_key));
    return done;
}

int command_keys(const char *directory)
{
    if (!crypto_start()) {
        command_error("OpenSSL lacks an algorithm");
        return COMMAND_FAILED;
    }
    if (mkdir(directory, 0700) != 0 && errno != EEXIST) {
        command_error("cannot make %s: %s", directory, strerror(errno));
        return COMMAND_FAILED;
    }
    if (!make_random(directory, "master.key") || !make_pair(directory) ||
        !make_random(directory, "session.key")) {
        return COMMAND_FAILED;
    }
    return COMMAND_OK;
}

int command_init_data_key(const char *token_path, const char *out_path)
{
    char token[TOKEN_MAX], error[256], text[KEY_HEX_SIZE];
    uint8_t key[CRYPTO_SHA256_SIZE];
    bool done = false;
    long length;

    if (!crypto_start()) {
        command_error("OpenSSL lacks an algorithm");
        return COMMAND_FAILED;
    }
    length = crypto_read_secret(token_path, token, sizeof(token), error, sizeof(error));
    if (length < 0) {
        command_error("%s", error);
        return COMMAND_FAILED;
    }
    /* The constant is the key and the token the message: the classic mistake is the other way. */
    if (!crypto_hmac("WebAppData", strlen("WebAppData"), token, (size_t)length, key)) {
        command_error("HMAC failed");
        goto wipe;
    }
    if (out_path != NULL) {
        done = write_key(out_path, key, 0600);
        goto wipe;
    }
    crypto_hex(key, sizeof(key), text);
    puts(text);
    done = fflush(stdout) == 0;
wipe:
    crypto_wipe(token, sizeof(token));
    crypto_wipe(key, sizeof(key));
    crypto_wipe(text, sizeof(text));
    return done ? COMMAND_OK : COMMAND_FAILED;
}
