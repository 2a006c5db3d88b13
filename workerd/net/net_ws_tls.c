/*
 * TLS between socket and frames: OpenSSL on memory BIOs, which costs a fifth of a TLS that reads
 * the socket itself.
 *
 * Promises: TLS 1.2 at least; the chain is verified against the given CA file or the system's, and
 * the certificate against the URL's host name or address; no callback sees a byte before that.
 */
#include "workerd/net/net_ws_private.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>

/* The system's CAs take tens of milliseconds to read, and do not change while we run. */
static SSL_CTX *system_context;

static SSL_CTX *new_context(const char *ca_file)
{
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());

    if (context == NULL) {
        return NULL;
    }
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
    if (SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION) != 1 ||
        (ca_file != NULL ? SSL_CTX_load_verify_locations(context, ca_file, NULL)
                         : SSL_CTX_set_default_verify_paths(context)) != 1) {
        SSL_CTX_free(context);
        return NULL;
    }
    return context;
}

/* A reference of the caller's own. */
static SSL_CTX *context_for(const char *ca_file)
{
    if (ca_file != NULL) {
        return new_context(ca_file);
    }
    if (system_context == NULL) {
        system_context = new_context(NULL);
    }
    if (system_context != NULL) {
        SSL_CTX_up_ref(system_context);
    }
    return system_context;
}

static bool expect_host(SSL *ssl, const char *host)
{
    unsigned char binary[16];

    if (uv_inet_pton(AF_INET, host, binary) == 0 || uv_inet_pton(AF_INET6, host, binary) == 0) {
        return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host) == 1;
    }
    SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    return SSL_set1_host(ssl, host) == 1 && SSL_set_tlsext_host_name(ssl, host) == 1;
}

bool net_ws_tls_start(net_ws *ws, const char *ca_file)
{
    static const unsigned char protocols[] = "\x08http/1.1";
    SSL_CTX *context = context_for(ca_file);

    if (context == NULL) {
        return false;
    }
    ws->ssl = SSL_new(context);
    SSL_CTX_free(context);
    if (ws->ssl == NULL) {
        return false;
    }
    ws->from_peer = BIO_new(BIO_s_mem());
    ws->to_peer = BIO_new(BIO_s_mem());
    if (ws->from_peer == NULL || ws->to_peer == NULL) {
        BIO_free(ws->from_peer);
        BIO_free(ws->to_peer);
        return false;
    }
    SSL_set_bio(ws->ssl, ws->from_peer, ws->to_peer); /* they are its own now */
    SSL_set_connect_state(ws->ssl);
    return expect_host(ws->ssl, ws->url.host) &&
           SSL_set_alpn_protos(ws->ssl, protocols, sizeof(protocols) - 1) == 0;
}

static void flush(net_ws *ws)
{
    char *data;
    long length = BIO_get_mem_data(ws->to_peer, &data);

    if (length > 0 && ws->state != NET_WS_DEAD) {
        net_ws_socket_output(ws, data, (size_t)length);
    }
    (void)BIO_reset(ws->to_peer);
}

static void fail(net_ws *ws, const char *when)
{
    char reason[NET_WS_REASON_MAX];
    long verdict = SSL_get_verify_result(ws->ssl);
    const char *why = ERR_reason_error_string(ERR_peek_last_error());

    if (verdict != X509_V_OK) {
        why = X509_verify_cert_error_string(verdict);
    }
    snprintf(reason, sizeof(reason), "tls: %s: %s", when, why != NULL ? why : "connection closed");
    flush(ws); /* the alert */
    net_ws_end(ws, reason);
}

void net_ws_tls_connect(net_ws *ws)
{
    int result;

    ERR_clear_error();
    result = SSL_do_handshake(ws->ssl);
    if (result == 1) {
        flush(ws);
        net_ws_upgrade(ws);
        return;
    }
    if (SSL_get_error(ws->ssl, result) != SSL_ERROR_WANT_READ) {
        fail(ws, "handshake");
        return;
    }
    flush(ws);
}

void net_ws_tls_input(net_ws *ws, const char *data, size_t length)
{
    ERR_clear_error(); /* whatever others left there would pass for ours */
    if (BIO_write(ws->from_peer, data, (int)length) != (int)length) {
        net_ws_end(ws, "out of memory");
        return;
    }
    if (ws->state == NET_WS_SECURING) {
        net_ws_tls_connect(ws);
    }
    while (ws->state == NET_WS_UPGRADING || ws->state == NET_WS_OPEN ||
           ws->state == NET_WS_CLOSING) {
        int got = SSL_read(ws->ssl, ws->plain, sizeof(ws->plain));
        int error;

        if (got > 0) {
            if (ws->state == NET_WS_UPGRADING) {
                net_ws_handshake_input(ws, ws->plain, (size_t)got);
            } else {
                net_ws_frame_input(ws, ws->plain, (size_t)got);
            }
            continue;
        }
        error = SSL_get_error(ws->ssl, got);
        if (error == SSL_ERROR_WANT_READ) {
            flush(ws); /* a key update is answered */
            return;
        }
        if (error == SSL_ERROR_ZERO_RETURN) {
            net_ws_end(ws, "tls: closed by the peer");
        } else {
            fail(ws, "read");
        }
    }
}

void net_ws_tls_output(net_ws *ws, const void *data, size_t length)
{
    /* A memory BIO takes everything; TLS keeps nothing back. */
    if (SSL_write(ws->ssl, data, (int)length) != (int)length) {
        fail(ws, "write");
        return;
    }
    flush(ws);
}

void net_ws_tls_shutdown(net_ws *ws)
{
    ERR_clear_error();
    if (SSL_is_init_finished(ws->ssl) && SSL_shutdown(ws->ssl) >= 0) {
        flush(ws);
    }
    ERR_clear_error();
}
