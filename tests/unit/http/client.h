/* client.h - the smallest HTTP client: one connection, one request, the whole answer as text. */
#ifndef BRAID_TESTS_CLIENT_H
#define BRAID_TESTS_CLIENT_H

#include <arpa/inet.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#define ANSWER_SIZE (1 << 20)

static inline int client_connect(int port)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    struct timeval t = {.tv_sec = 20};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof t);
    if (connect(fd, (struct sockaddr *)&a, sizeof a)) {
        close(fd);
        return -1;
    }
    return fd;
}

static inline int client_send(int fd, const char *p, size_t n)
{
    while (n) {
        ssize_t k = send(fd, p, n, MSG_NOSIGNAL);
        if (k <= 0)
            return -1;
        p += k;
        n -= (size_t)k;
    }
    return 0;
}

/* Sends head (lines without the closing empty one) and body; `answer` holds ANSWER_SIZE. */
static inline const char *client_ask(int port, const char *head, const char *body, char *answer)
{
    size_t size = strlen(head) + strlen(body) + 200;
    char *text = malloc(size);
    int fd = client_connect(port);
    size_t n = 0;
    ssize_t k;
    answer[0] = 0;
    if (fd < 0 || !text)
        goto out;
    int len = snprintf(text, size, "%s\r\nHost: test\r\nConnection: close\r\n%s", head,
                       *body ? "" : "\r\n");
    if (*body)
        len += snprintf(text + len, size - (size_t)len, "Content-Length: %zu\r\n\r\n%s",
                        strlen(body), body);
    client_send(fd, text, (size_t)len);
    while (n < ANSWER_SIZE - 1 && (k = recv(fd, answer + n, ANSWER_SIZE - 1 - n, 0)) > 0)
        n += (size_t)k;
    answer[n] = 0;
out:
    if (fd >= 0)
        close(fd);
    free(text);
    return answer;
}

static inline int client_status(const char *answer)
{
    return strncmp(answer, "HTTP/1.1 ", 9) ? 0 : (int)strtol(answer + 9, NULL, 10);
}

static inline const char *client_body(const char *answer)
{
    const char *p = strstr(answer, "\r\n\r\n");
    return p ? p + 4 : "";
}

#endif
