/*
 * What ps and top show of a role: "whale-trade-0" instead of the master's command line.
 *
 * The kernel reads the command line out of the process's own argv area. It is as long as what was
 * typed, so the environment, which stands right behind it, is moved away first.
 */
#include "workerd/master_private.h"

#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#define TITLE_ENVIRONMENT_MAX 512

static char *title_area;
static size_t title_room;

void master_title_start(int argc, char **argv)
{
    static char *moved[TITLE_ENVIRONMENT_MAX + 1];
    char *end;
    size_t count = 0;

    if (argc < 1) {
        return;
    }
    end = argv[0];
    for (int i = 0; i < argc; i++) {
        end = argv[i] == end ? end + strlen(end) + 1 : end;
    }
    while (environ != NULL && environ[count] != NULL && count < TITLE_ENVIRONMENT_MAX) {
        moved[count] = strdup(environ[count]);
        if (moved[count] == NULL) {
            return; /* the area stays what it is: too short a title is no harm */
        }
        count++;
    }
    if (environ != NULL && environ[count] == NULL) {
        for (size_t i = 0; i < count; i++) {
            end = environ[i] == end ? end + strlen(end) + 1 : end;
        }
        environ = moved;
    }
    title_area = argv[0];
    title_room = (size_t)(end - argv[0]);
}

void master_title_set(const char *title)
{
    size_t length = strlen(title);

    prctl(PR_SET_NAME, title, 0, 0, 0);
    if (title_area == NULL || title_room < 2) {
        return;
    }
    if (length > title_room - 1) {
        length = title_room - 1;
    }
    memset(title_area, 0, title_room);
    memcpy(title_area, title, length);
}
