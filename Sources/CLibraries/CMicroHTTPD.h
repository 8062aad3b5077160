#pragma once
#include <microhttpd.h>
#include <netinet/in.h>
#include <sys/socket.h>

// MHD_start_daemon is variadic: this shim fixes the options that Outrigger uses. Swift also
// imports the enums of libmicrohttpd without their constants, so flags and codes are named here.

/// An epoll thread of libmicrohttpd's own that serves `listen_fd`, which must already listen.
static inline struct MHD_Daemon *outrigger_mhd_start(
    int listen_fd, unsigned int connection_limit, unsigned int timeout_seconds,
    MHD_AccessHandlerCallback handler, void *handler_context,
    MHD_RequestCompletedCallback completed, void *completed_context)
{
    return MHD_start_daemon(
        MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME, 0, NULL, NULL, handler, handler_context,
        MHD_OPTION_LISTEN_SOCKET, listen_fd,
        MHD_OPTION_CONNECTION_LIMIT, connection_limit,
        MHD_OPTION_CONNECTION_TIMEOUT, timeout_seconds,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)(32 * 1024),
        MHD_OPTION_NOTIFY_COMPLETED, completed, completed_context,
        MHD_OPTION_END);
}

static inline const char *outrigger_mhd_header(struct MHD_Connection *connection, const char *name) {
    return MHD_lookup_connection_value(connection, MHD_HEADER_KIND, name);
}

static inline int outrigger_mhd_each_argument(
    struct MHD_Connection *connection, MHD_KeyValueIteratorN iterator, void *context)
{
    return MHD_get_connection_values_n(connection, MHD_GET_ARGUMENT_KIND, iterator, context);
}

static inline int outrigger_mhd_each_header(
    struct MHD_Connection *connection, MHD_KeyValueIteratorN iterator, void *context)
{
    return MHD_get_connection_values_n(connection, MHD_HEADER_KIND, iterator, context);
}

static inline const struct sockaddr *outrigger_mhd_peer(struct MHD_Connection *connection) {
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    return info ? info->client_addr : NULL;
}

/// A response that borrows `bytes` until libmicrohttpd calls `release(context)`.
static inline struct MHD_Response *outrigger_mhd_response(
    const void *bytes, size_t count, MHD_ContentReaderFreeCallback release, void *context)
{
    return MHD_create_response_from_buffer_with_free_callback_cls(count, bytes, release, context);
}

static const enum MHD_Result outrigger_mhd_yes = MHD_YES;
static const enum MHD_Result outrigger_mhd_no = MHD_NO;
