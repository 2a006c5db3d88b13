/*
 * The paper venue without the rest of the house: no segment, no master. For tests of the venue
 * itself, and for trying a public client on it.
 *
 *   paper_alone CONF        serves until SIGTERM; its log line "paper.listening" names the ports
 */
#include "core/log.h"
#include "workerd/paper/paper_server.h"

#include <stdio.h>
#include <stdlib.h>

static whale_config config;
static paper_server server;

static void stop(uv_signal_t *handle, int number)
{
    (void)number;
    paper_server_stop(&server);
    uv_close((uv_handle_t *)handle, NULL);
}

int main(int argc, char **argv)
{
    char error[CONFIG_ERROR_MAX] = "";
    uv_signal_t terminate;
    uv_loop_t loop;

    if (argc != 2) {
        fprintf(stderr, "usage: paper_alone CONF\n");
        return EXIT_FAILURE;
    }
    log_start("paper", LOG_INFO);
    config_defaults(&config);
    if (!crypto_start() || !config_read(&config, argv[1], error) || uv_loop_init(&loop) != 0 ||
        !paper_server_start(&server, &loop, &config, NULL, error, sizeof(error))) {
        fprintf(stderr, "paper_alone: %s\n", error);
        return EXIT_FAILURE;
    }
    uv_signal_init(&loop, &terminate);
    uv_signal_start(&terminate, stop, SIGTERM);
    uv_run(&loop, UV_RUN_DEFAULT);
    paper_server_free(&server);
    uv_loop_close(&loop);
    return EXIT_SUCCESS;
}
