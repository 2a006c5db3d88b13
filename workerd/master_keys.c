/*
 * Handing over what only some roles may have: keys to sign, channels between sign and trade.
 *
 * Promises: a key is in the master's memory only between reading the file and filling the pipe, in
 * locked memory that is wiped; a role gets the descriptors meant for it and no others
 * (master_child.c closes the rest).
 */
#include "workerd/master_private.h"

#include "core/crypto.h"
#include "core/log.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define KEY_HEX_SIZE (2 * CRYPTO_KEY_SIZE + 1)
#define KEY_ERROR_MAX 256
#define DRAIN_MAX 65536 /* messages; more than a channel holds */

struct key_buffer {
    uint8_t key[CRYPTO_KEY_SIZE];
    char hex[KEY_HEX_SIZE];
};

bool master_channels_open(master *state, unsigned trade_processes)
{
    for (unsigned i = 0; i < ROLE_SIGN_CLIENTS_MAX; i++) {
        state->channels[i] = (master_channel){-1, -1};
    }
    for (unsigned i = 0; i < trade_processes && i < ROLE_SIGN_CLIENTS_MAX; i++) {
        int ends[2];

        if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) != 0) {
            log_event(LOG_ERROR, "master.channel", "error", LOG_TEXT(strerror(errno)), NULL);
            return false;
        }
        state->channels[i] = (master_channel){ends[0], ends[1]};
    }
    return true;
}

void master_channel_drain(const master_channel *channel)
{
    char byte;

    for (int i = 0; i < DRAIN_MAX && channel->trade_end >= 0; i++) {
        ssize_t got = recv(channel->trade_end, &byte, 1, MSG_DONTWAIT | MSG_TRUNC);

        if (got < 0 && errno != EINTR) {
            return;
        }
    }
}

/* A pipe that holds the key of this file as 64 hex digits; -1 with the reason logged. */
static int key_pipe(const char *path, struct key_buffer *buffer)
{
    char error[KEY_ERROR_MAX] = "";
    int ends[2] = {-1, -1};
    ssize_t written = -1;

    if (!crypto_read_key(path, buffer->key, error, sizeof(error))) {
        log_event(LOG_ERROR, "master.key", "error", LOG_TEXT(error), NULL);
        return -1;
    }
    if (pipe2(ends, O_CLOEXEC) == 0) {
        crypto_hex(buffer->key, sizeof(buffer->key), buffer->hex);
        /* An empty pipe takes 64 bytes at once. */
        written = write(ends[1], buffer->hex, KEY_HEX_SIZE - 1);
        close(ends[1]);
    }
    if (written != KEY_HEX_SIZE - 1) {
        log_event(LOG_ERROR, "master.key", "error", LOG_TEXT(strerror(errno)), NULL);
        if (ends[0] >= 0) {
            close(ends[0]);
        }
        return -1;
    }
    return ends[0];
}

static bool give_keys(const whale_config *config, role_context *context)
{
    struct key_buffer *buffer = crypto_secret_alloc(sizeof(*buffer));

    if (buffer == NULL) {
        log_event(LOG_ERROR, "master.key", "error",
                  LOG_TEXT("no locked memory: RLIMIT_MEMLOCK is too low"), NULL);
        return false;
    }
    context->master_key_fd = key_pipe(config->master_key_file, buffer);
    if (context->master_key_fd >= 0) {
        context->seal_private_key_fd = key_pipe(config->seal_private_key_file, buffer);
    }
    crypto_secret_free(buffer);
    return context->master_key_fd >= 0 && context->seal_private_key_fd >= 0;
}

bool master_keys_give(const master *state, const master_planned *role, role_context *context)
{
    context->sign_channel = context->master_key_fd = context->seal_private_key_fd = -1;
    context->sign_client_count = 0;
    if (role->role == SHM_ROLE_TRADE && role->slot < ROLE_SIGN_CLIENTS_MAX) {
        context->sign_channel = state->channels[role->slot].trade_end;
        return true;
    }
    if (role->role != SHM_ROLE_SIGN) {
        return true;
    }
    for (unsigned i = 0; i < ROLE_SIGN_CLIENTS_MAX && state->channels[i].sign_end >= 0; i++) {
        context->sign_clients[context->sign_client_count++] = state->channels[i].sign_end;
    }
    if (!give_keys(&state->config, context)) {
        master_keys_close(context);
        return false;
    }
    return true;
}

void master_keys_close(role_context *context)
{
    if (context->master_key_fd >= 0) {
        close(context->master_key_fd);
    }
    if (context->seal_private_key_fd >= 0) {
        close(context->seal_private_key_fd);
    }
    context->master_key_fd = context->seal_private_key_fd = -1;
}
