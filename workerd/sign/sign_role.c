/*
 * The signer: a process that holds the keys and answers on its channels, nothing else.
 *
 * Promises: keys are read once from the master's pipes into locked memory; a client that does not
 * take its answers is not read from until it does (one answer a client waits, never more); it ends
 * when its master is gone. It opens nothing and logs no value.
 */
#include "core/clock.h"
#include "core/log.h"
#include "workerd/net/net_loop.h"
#include "workerd/sign/sign_answer.h"
#include "workerd/sign/sign_jail.h"
#include "workerd/sign/sign_vault.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define SIGN_READS_MAX 16 /* messages of one client in one turn */

typedef struct sign_server sign_server;

typedef struct {
    sign_server *server;
    int fd;
    uv_poll_t poll;
    uint8_t *waiting; /* an answer that the client has no room for */
    size_t waiting_length;
    bool open;
} sign_client;

struct sign_server {
    net_loop *loop;
    shm_process *process;
    sign_vault *vault;
    sign_client clients[ROLE_SIGN_CLIENTS_MAX];
    unsigned client_count;
    uint8_t *in, *out; /* locked: answers hold credentials */
};

static void sign_watch(sign_client *client);

/* ---- clients -----------------------------------------------------------------------------------
 */

static void sign_drop(sign_client *client)
{
    if (!client->open) {
        return;
    }
    client->open = false;
    uv_close((uv_handle_t *)&client->poll, NULL);
    close(client->fd);
    if (client->waiting != NULL) {
        crypto_secret_free(client->waiting);
        client->waiting = NULL;
    }
}

/* False: the client must be waited for, or is gone. */
static bool sign_send(sign_client *client, const uint8_t *data, size_t length)
{
    ssize_t sent;

    do {
        sent = send(client->fd, data, length, MSG_DONTWAIT | MSG_NOSIGNAL);
    } while (sent < 0 && errno == EINTR);
    if (sent >= 0) {
        return true;
    }
    if (errno != EAGAIN && errno != EWOULDBLOCK && errno != ENOBUFS) {
        sign_drop(client);
        return false;
    }
    if (client->waiting == NULL) {
        client->waiting = crypto_secret_alloc(length);
        if (client->waiting == NULL) {
            return true; /* unanswered: it will be asked again */
        }
        memcpy(client->waiting, data, length);
        client->waiting_length = length;
    }
    return false;
}

static void sign_read(sign_client *client)
{
    sign_server *server = client->server;

    for (int i = 0; i < SIGN_READS_MAX; i++) {
        ssize_t got = recv(client->fd, server->in, NET_SIGN_MESSAGE_MAX, MSG_DONTWAIT);
        size_t length;
        bool sent;

        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got == 0 || (got < 0 && errno != EAGAIN && errno != EWOULDBLOCK)) {
            sign_drop(client);
            return;
        }
        if (got < 0) {
            return;
        }
        length = sign_answer_message(server->vault, server->process, server->in, (size_t)got,
                                     server->out);
        sent = length == 0 || sign_send(client, server->out, length);
        crypto_wipe(server->out, length);
        if (!sent) {
            return;
        }
    }
}

static void sign_on_poll(uv_poll_t *poll, int status, int events)
{
    sign_client *client = poll->data;

    if (status < 0) {
        sign_drop(client);
        return;
    }
    if ((events & UV_WRITABLE) && client->waiting != NULL &&
        sign_send(client, client->waiting, client->waiting_length)) {
        crypto_secret_free(client->waiting);
        client->waiting = NULL;
    }
    if (client->open && client->waiting == NULL && (events & (UV_READABLE | UV_DISCONNECT))) {
        sign_read(client);
    }
    sign_watch(client);
}

static void sign_watch(sign_client *client)
{
    if (client->open) {
        uv_poll_start(&client->poll, client->waiting != NULL ? UV_WRITABLE : UV_READABLE,
                      sign_on_poll);
    }
}

static bool sign_serve(sign_server *server, int fd)
{
    sign_client *client = &server->clients[server->client_count];
    int flags = fcntl(fd, F_GETFL);

    if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0 ||
        uv_poll_init(net_loop_uv(server->loop), &client->poll, fd) != 0) {
        return false;
    }
    client->server = server;
    client->fd = fd;
    client->open = true;
    client->poll.data = client;
    server->client_count++;
    sign_watch(client);
    return true;
}

/* ---- keys --------------------------------------------------------------------------------------
 */

/* 64 hex digits from the master's pipe, which is closed. */
static bool sign_read_key(int fd, uint8_t *key)
{
    char *text = crypto_secret_alloc(2 * CRYPTO_KEY_SIZE + 2);
    size_t length = 0;
    bool read_whole;

    while (text != NULL && length < 2 * CRYPTO_KEY_SIZE + 1) {
        ssize_t got = read(fd, text + length, 2 * CRYPTO_KEY_SIZE + 1 - length);

        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got <= 0) {
            break;
        }
        length += (size_t)got;
    }
    close(fd);
    if (length == 2 * CRYPTO_KEY_SIZE + 1 && text[length - 1] == '\n') {
        length--;
    }
    read_whole = text != NULL && length == 2 * CRYPTO_KEY_SIZE &&
                 crypto_unhex(text, length, key, CRYPTO_KEY_SIZE) == CRYPTO_KEY_SIZE;
    crypto_secret_free(text);
    return read_whole;
}

static sign_vault *sign_open_vault(const role_context *context)
{
    uint8_t *keys = crypto_secret_alloc(2 * CRYPTO_KEY_SIZE);
    sign_vault *vault = NULL;
    bool master, seal;

    if (keys == NULL) {
        log_event(LOG_ERROR, "sign.keys", "error", LOG_TEXT("memory cannot be locked"), NULL);
        return NULL;
    }
    master = sign_read_key(context->master_key_fd, keys);
    seal = sign_read_key(context->seal_private_key_fd, keys + CRYPTO_KEY_SIZE);
    if (!master || !seal) {
        log_event(
            LOG_ERROR, "sign.keys", "error",
            LOG_TEXT(master ? "the sealing key cannot be read" : "the master key cannot be read"),
            NULL);
    } else {
        vault = sign_vault_new(keys, keys + CRYPTO_KEY_SIZE, SIGN_CACHE_DEFAULT);
    }
    crypto_secret_free(keys);
    return vault;
}

/* ---- the role ----------------------------------------------------------------------------------
 */

static void sign_stopping(void *owner)
{
    sign_server *server = owner;

    for (unsigned i = 0; i < server->client_count; i++) {
        sign_drop(&server->clients[i]);
    }
    net_loop_stop(server->loop, EXIT_SUCCESS);
}

static bool sign_start(sign_server *server, const role_context *context)
{
    server->process = net_loop_process(server->loop);
    server->vault = sign_open_vault(context);
    server->in = crypto_secret_alloc(NET_SIGN_MESSAGE_MAX);
    server->out = crypto_secret_alloc(NET_SIGN_MESSAGE_MAX);
    if (server->vault == NULL || server->in == NULL || server->out == NULL) {
        return false;
    }
    for (unsigned i = 0; i < context->sign_client_count; i++) {
        if (!sign_serve(server, context->sign_clients[i])) {
            log_event(LOG_ERROR, "sign.channel", "client", LOG_INT(i), NULL);
            return false;
        }
    }
    return sign_jail_enter(context->config->sign_user);
}

int sign_role_run(const role_context *context)
{
    sign_server *server = calloc(1, sizeof(*server));
    int status = EXIT_FAILURE;

    if (server == NULL) {
        return EXIT_FAILURE;
    }
    sign_jail_memory();
    server->loop = net_loop_new(context, SHM_ROLE_SIGN, sign_stopping, server);
    if (server->loop != NULL && sign_start(server, context)) {
        log_event(LOG_INFO, "sign.ready", "clients", LOG_INT(server->client_count), NULL);
        status = net_loop_run(server->loop);
    }
    for (unsigned i = 0; i < server->client_count; i++) {
        sign_drop(&server->clients[i]);
    }
    net_loop_free(server->loop);
    sign_vault_free(server->vault);
    crypto_secret_free(server->in);
    crypto_secret_free(server->out);
    free(server);
    return status;
}
