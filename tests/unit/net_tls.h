/*
 * Certificates for tests of TLS, made in memory and written to a temporary directory: a CA of our
 * own that signs itself and serves as the server's certificate too.
 */
#ifndef WHALE_TESTS_NET_TLS_H
#define WHALE_TESTS_NET_TLS_H

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct {
    EVP_PKEY *key;
    X509 *certificate;
    char ca_file[64];
} net_tls_identity;

/* `names`: e.g. "DNS:localhost,IP:127.0.0.1" */
static inline void net_tls_identity_make(net_tls_identity *made, const char *names)
{
    X509 *certificate = X509_new();
    X509_NAME *name;
    X509_EXTENSION *extension;
    FILE *file;

    made->key = EVP_EC_gen("P-256");
    X509_set_version(certificate, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1);
    X509_gmtime_adj(X509_getm_notBefore(certificate), -3600);
    X509_gmtime_adj(X509_getm_notAfter(certificate), 3600);
    X509_set_pubkey(certificate, made->key);
    name = X509_get_subject_name(certificate);
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)"test", -1, -1, 0);
    X509_set_issuer_name(certificate, name);
    extension = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, names);
    X509_add_ext(certificate, extension, -1);
    X509_EXTENSION_free(extension);
    X509_sign(certificate, made->key, EVP_sha256());
    made->certificate = certificate;

    strcpy(made->ca_file, "/tmp/whale_test_ca_XXXXXX");
    file = fdopen(mkstemp(made->ca_file), "w");
    PEM_write_X509(file, certificate);
    fclose(file);
}

static inline void net_tls_identity_drop(net_tls_identity *made)
{
    unlink(made->ca_file);
    X509_free(made->certificate);
    EVP_PKEY_free(made->key);
}

static inline SSL_CTX *net_tls_server_context(const net_tls_identity *identity)
{
    SSL_CTX *context = SSL_CTX_new(TLS_server_method());

    SSL_CTX_use_certificate(context, identity->certificate);
    SSL_CTX_use_PrivateKey(context, identity->key);
    return context;
}

/* In the server: a handshake on an accepted socket, or NULL. */
static inline SSL *net_tls_accept(const net_tls_identity *identity, int fd)
{
    SSL_CTX *context = net_tls_server_context(identity);
    SSL *ssl = SSL_new(context);

    SSL_CTX_free(context);
    SSL_set_fd(ssl, fd);
    if (SSL_accept(ssl) != 1) {
        SSL_free(ssl);
        return NULL;
    }
    return ssl;
}

#endif
