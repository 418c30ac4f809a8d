/* Load for an echo server: as many connections as wanted, one request at a time each.
 *
 *     load PORT CONNECTIONS SIZE WARMUP SECONDS
 *
 * Each connection sends SIZE bytes, waits for as many to come back, and sends again.
 * Prints `start` after WARMUP seconds, and SECONDS later how many requests were
 * answered meanwhile, as JSON. The workload W4 runs it, in C and in Python.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "common.h"

#define CHUNK 65536

static struct connection {
    int fd;
    size_t missing; /* of the answer */
} *connections;

static char request[CHUNK];
static size_t size;
static long answered;
/* At the end every answer is waited for, so that no connection is reset. */
static int over, waiting;

static double now(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec + time.tv_nsec / 1e9;
}

static void ask(struct connection *c)
{
    if (send(c->fd, request, size, MSG_NOSIGNAL) != (ssize_t)size)
        fail("load: send");
    c->missing = size;
}

static void hear(struct connection *c)
{
    static char answer[CHUNK];
    ssize_t length = recv(c->fd, answer, sizeof answer, MSG_DONTWAIT);

    if (length < 0 && errno == EAGAIN)
        return;
    if (length <= 0 || (size_t)length > c->missing)
        fail("load: recv");
    if (memcmp(answer, request + size - c->missing, length)) {
        fprintf(stderr, "load: this is not what was sent\n");
        exit(1);
    }
    c->missing -= length;
    if (c->missing)
        return;
    answered++;
    if (over)
        waiting--;
    else
        ask(c);
}

static void connect_to(struct connection *c, int port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    int one = 1;

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (c->fd < 0 || connect(c->fd, (struct sockaddr *)&address, sizeof address))
        fail("load: connect");
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
}

static void drive(int epoll, double until)
{
    struct epoll_event events[512];
    double left;

    while ((left = until - now()) > 0 && !(over && !waiting)) {
        int count = epoll_wait(epoll, events, 512, (int)(left * 1000) + 1);

        for (int i = 0; i < count; i++)
            hear(events[i].data.ptr);
    }
}

int main(int argc, char **argv)
{
    double begin, warmup, seconds;
    int count, epoll = epoll_create1(EPOLL_CLOEXEC);

    if (argc != 6 || (size = atoi(argv[3])) > CHUNK || size < 1) {
        fprintf(stderr, "usage: load PORT CONNECTIONS SIZE WARMUP SECONDS\n");
        return 2;
    }
    count = atoi(argv[2]);
    warmup = atof(argv[4]);
    seconds = atof(argv[5]);
    allow_descriptors(count);
    connections = calloc(count, sizeof *connections);
    for (size_t i = 0; i < size; i++)
        request[i] = (char)('a' + i % 26);
    for (int i = 0; i < count; i++) {
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = &connections[i]};

        connect_to(&connections[i], atoi(argv[1]));
        epoll_ctl(epoll, EPOLL_CTL_ADD, connections[i].fd, &event);
    }
    for (int i = 0; i < count; i++)
        ask(&connections[i]);
    drive(epoll, now() + warmup);
    answered = 0;
    begin = now();
    printf("start\n");
    fflush(stdout);
    drive(epoll, begin + seconds);
    printf("{\"requests\": %ld, \"seconds\": %.9f}\n", answered, now() - begin);
    fflush(stdout);
    over = 1;
    waiting = count;
    drive(epoll, now() + 10.);
    return 0;
}
