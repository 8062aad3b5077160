#pragma once
#include <openssl/bio.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

// Macros over SSL_CTX_ctrl, SSL_ctrl and BIO_set_flags, and constants that Swift does not import.

/// What every connection of ours agrees on: TLS 1.2 at least, no renegotiation, no compression, and no sessions to be
/// resumed, so that each connection proves who it is. Buffers are given back while a connection is idle.
static inline int outrigger_tls_restrict(SSL_CTX *context) {
    SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_NO_TICKET);
    SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    return SSL_CTX_set_num_tickets(context, 0) == 1 && SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION) == 1;
}

/// \param newest 0 for the newest there is.
static inline int outrigger_tls_versions(SSL_CTX *context, int oldest, int newest) {
    return SSL_CTX_set_min_proto_version(context, oldest) == 1 && SSL_CTX_set_max_proto_version(context, newest) == 1;
}

static inline int outrigger_tls_ask_for(SSL *session, const char *server_name) {
    return SSL_set_tlsext_host_name(session, server_name) == 1;
}

static inline int outrigger_bio_type(void) { return BIO_get_new_index() | BIO_TYPE_SOURCE_SINK; }
static inline void outrigger_bio_has_more_later(BIO *bio) { BIO_set_retry_read(bio); }
static inline void outrigger_bio_clear_retry(BIO *bio) { BIO_clear_retry_flags(bio); }
