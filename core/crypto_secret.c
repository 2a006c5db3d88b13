/*
 * Where secrets stand: locked memory and files.
 *
 * Promises: secret memory is locked in RAM, out of core dumps and wiped when freed; a file that
 * others may read is refused; whatever of a secret was copied on the way here is wiped; no reason
 * given ever holds a secret's bytes.
 */
#include "core/crypto.h"

#include <openssl/crypto.h>

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define CRYPTO_KEY_FILE_MAX                                                                        \
    (2 * CRYPTO_KEY_SIZE + 2)   /* hex and a newline, and one byte too many                        \
                                 */
#define CRYPTO_SECRET_HEADER 64 /* keeps what follows aligned to a cache line */

bool crypto_equal(const void *a, const void *b, size_t length)
{
    return CRYPTO_memcmp(a, b, length) == 0;
}

void crypto_wipe(void *data, size_t length)
{
    if (data != NULL && length > 0) {
        OPENSSL_cleanse(data, length);
    }
}

/* The mapping's size stands in front of what the caller gets. */
void *crypto_secret_alloc(size_t length)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t size;
    uint8_t *base;

    if (length > SIZE_MAX / 2) {
        return NULL;
    }
    size = (length + CRYPTO_SECRET_HEADER + page - 1) / page * page;
    base = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (base == MAP_FAILED) {
        return NULL;
    }
    if (mlock(base, size) != 0 || madvise(base, size, MADV_DONTDUMP) != 0) {
        munmap(base, size);
        return NULL;
    }
    memcpy(base, &size, sizeof(size));
    return base + CRYPTO_SECRET_HEADER;
}

void crypto_secret_free(void *data)
{
    uint8_t *base;
    size_t size;

    if (data == NULL) {
        return;
    }
    base = (uint8_t *)data - CRYPTO_SECRET_HEADER;
    memcpy(&size, base, sizeof(size));
    crypto_wipe(base, size);
    munmap(base, size); /* unlocks it too */
}

static bool crypto_refuse(char *error, size_t capacity, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Says why, and is false. */
static bool crypto_refuse(char *error, size_t capacity, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(error, capacity, format, arguments);
    va_end(arguments);
    return false;
}

/* O_NONBLOCK: opening a fifo must not hang; it is then refused for not being a file. */
static bool crypto_open_file(const char *path, bool secret, int *file, char *error, size_t capacity)
{
    struct stat facts;

    *file = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (*file < 0) {
        return crypto_refuse(error, capacity, "cannot open %s: %s", path, strerror(errno));
    }
    if (fstat(*file, &facts) != 0) {
        return crypto_refuse(error, capacity, "cannot examine %s: %s", path, strerror(errno));
    }
    if (!S_ISREG(facts.st_mode)) {
        return crypto_refuse(error, capacity, "%s is not a regular file", path);
    }
    if (secret && (facts.st_mode & 007) != 0) {
        return crypto_refuse(error, capacity,
                             "%s may be read by others (mode %04o), want 0600 or 0640", path,
                             (unsigned)(facts.st_mode & 07777));
    }
    return true;
}

/* The whole file; more than `capacity` bytes is an error. */
static bool crypto_read_all(int file, const char *path, char *out, size_t capacity, size_t *length,
                            char *error, size_t error_capacity)
{
    char beyond;
    ssize_t got;

    *length = 0;
    do {
        bool full = *length == capacity;

        got = read(file, full ? &beyond : out + *length, full ? 1 : capacity - *length);
        if (got > 0 && full) {
            return crypto_refuse(error, error_capacity, "%s is too long", path);
        }
        if (got > 0) {
            *length += (size_t)got;
        }
    } while (got > 0 || (got < 0 && errno == EINTR));
    if (got < 0) {
        return crypto_refuse(error, error_capacity, "cannot read %s: %s", path, strerror(errno));
    }
    return true;
}

static bool crypto_read_file(const char *path, bool secret, char *out, size_t capacity,
                             size_t *length, char *error, size_t error_capacity)
{
    int file = -1;
    bool done = crypto_open_file(path, secret, &file, error, error_capacity) &&
                crypto_read_all(file, path, out, capacity, length, error, error_capacity);

    if (file >= 0) {
        close(file);
    }
    return done;
}

static size_t crypto_without_newline(const char *text, size_t length)
{
    return length > 0 && text[length - 1] == '\n' ? length - 1 : length;
}

/* 32 raw bytes may end in what looks like a newline, so that length is looked at first. */
static bool crypto_decode_key(const char *text, size_t length, uint8_t key[CRYPTO_KEY_SIZE])
{
    if (length != CRYPTO_KEY_SIZE) {
        length = crypto_without_newline(text, length);
    }
    if (length == CRYPTO_KEY_SIZE) {
        memcpy(key, text, CRYPTO_KEY_SIZE);
        return true;
    }
    return length == 2 * CRYPTO_KEY_SIZE &&
           crypto_unhex(text, length, key, CRYPTO_KEY_SIZE) == CRYPTO_KEY_SIZE;
}

static bool crypto_read_any_key(const char *path, bool secret, uint8_t key[CRYPTO_KEY_SIZE],
                                char *error, size_t capacity)
{
    char text[CRYPTO_KEY_FILE_MAX];
    size_t length;
    bool done = crypto_read_file(path, secret, text, sizeof(text), &length, error, capacity);

    if (done && !crypto_decode_key(text, length, key)) {
        crypto_wipe(key, CRYPTO_KEY_SIZE);
        done = crypto_refuse(error, capacity, "%s holds neither 64 hex digits nor 32 bytes", path);
    }
    crypto_wipe(text, sizeof(text));
    return done;
}

bool crypto_read_key(const char *path, uint8_t key[CRYPTO_KEY_SIZE], char *error, size_t capacity)
{
    return crypto_read_any_key(path, true, key, error, capacity);
}

bool crypto_read_public_key(const char *path, uint8_t key[CRYPTO_KEY_SIZE], char *error,
                            size_t capacity)
{
    return crypto_read_any_key(path, false, key, error, capacity);
}

long crypto_read_secret(const char *path, char *out, size_t capacity, char *error,
                        size_t error_capacity)
{
    size_t length = 0;

    if (capacity == 0) {
        crypto_refuse(error, error_capacity, "%s is too long", path);
        return -1;
    }
    if (!crypto_read_file(path, true, out, capacity, &length, error, error_capacity)) {
        crypto_wipe(out, capacity);
        return -1;
    }
    length = crypto_without_newline(out, length);
    if (length == 0 || length == capacity || memchr(out, '\0', length) != NULL) {
        crypto_refuse(error, error_capacity, "%s is empty, too long or holds a NUL byte", path);
        crypto_wipe(out, capacity);
        return -1;
    }
    out[length] = '\0';
    return (long)length;
}
