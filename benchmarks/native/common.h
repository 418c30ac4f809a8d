/* What bench.c and load.c both need; included by these two, after their headers. */
#ifndef COMMON_H
#define COMMON_H

#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

static void allow_descriptors(rlim_t count)
{
    struct rlimit limit;

    getrlimit(RLIMIT_NOFILE, &limit);
    if (limit.rlim_cur < count + 100) {
        limit.rlim_cur = count + 100;
        if (setrlimit(RLIMIT_NOFILE, &limit))
            fail("more descriptors than allowed");
    }
}

#endif
