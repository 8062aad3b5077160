#pragma once
#include <curl/curl.h>

// curl_easy_setopt and its kin are variadic macros, which Swift cannot call; each shim fixes one type of argument.

static inline CURLcode outrigger_curl_set_long(CURL *handle, CURLoption option, long value) {
    return (curl_easy_setopt)(handle, option, value);
}

static inline CURLcode outrigger_curl_set_text(CURL *handle, CURLoption option, const char *value) {
    return (curl_easy_setopt)(handle, option, value);
}

static inline CURLcode outrigger_curl_set_pointer(CURL *handle, CURLoption option, const void *value) {
    return (curl_easy_setopt)(handle, option, value);
}

static inline CURLcode outrigger_curl_set_callback(CURL *handle, CURLoption option, curl_write_callback value) {
    return (curl_easy_setopt)(handle, option, value);
}

static inline CURLMcode outrigger_curl_set_multi(CURLM *multi, CURLMoption option, long value) {
    return (curl_multi_setopt)(multi, option, value);
}

static inline CURLcode outrigger_curl_status(CURL *handle, long *status) {
    return (curl_easy_getinfo)(handle, CURLINFO_RESPONSE_CODE, status);
}

// Where a redirect that was not followed leads to, as a whole URL; nil for none. Lives as long as the handle.
static inline const char *outrigger_curl_redirect(CURL *handle) {
    char *url = 0;
    (curl_easy_getinfo)(handle, CURLINFO_REDIRECT_URL, &url);
    return url;
}

// The transfer that `CURLOPT_PRIVATE` was set to.
static inline void *outrigger_curl_private(CURL *handle) {
    char *value = 0;
    (curl_easy_getinfo)(handle, CURLINFO_PRIVATE, &value);
    return value;
}

// The result of a message, which is a union in C.
static inline CURLcode outrigger_curl_result(const CURLMsg *message) { return message->data.result; }

