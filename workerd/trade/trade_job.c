/*
 * Jobs: trades that this process has under its lease, known by trade id, in queues.
 */
#include "workerd/trade/trade_engine.h"

#include "core/clock.h"
#include "core/crypto.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

trade_job *trade_job_new(trade_engine *engine, trade_market *market, const char *secret)
{
    size_t length = secret != NULL ? strlen(secret) + 1 : 1;
    trade_job *job;

    if (engine->job_count >= TRADE_JOBS_MAX) {
        return NULL;
    }
    job = calloc(1, sizeof(*job) + length);
    if (job == NULL) {
        return NULL;
    }
    job->engine = engine;
    job->market = market;
    job->attempt = 1;
    job->secret = (char *)(job + 1);
    memcpy(job->secret, secret != NULL ? secret : "", length);
    engine->job_count++;
    return job;
}

static size_t trade_bucket(int64_t id)
{
    return (size_t)((uint64_t)id * 0x9E3779B97F4A7C15ULL >> 40) % TRADE_JOB_BUCKETS;
}

trade_job *trade_job_find(const trade_engine *engine, int64_t id)
{
    trade_job *job = engine->jobs[trade_bucket(id)];

    while (job != NULL && job->id != id) {
        job = job->hash_next;
    }
    return job;
}

bool trade_job_register(trade_job *job)
{
    trade_job **bucket = &job->engine->jobs[trade_bucket(job->id)];

    if (trade_job_find(job->engine, job->id) != NULL) {
        return false;
    }
    job->hash_next = *bucket;
    *bucket = job;
    job->hashed = true;
    return true;
}

void trade_job_free(trade_job *job)
{
    if (job->hashed) {
        trade_job **at = &job->engine->jobs[trade_bucket(job->id)];

        while (*at != job) {
            at = &(*at)->hash_next;
        }
        *at = job->hash_next;
    }
    job->engine->job_count--;
    free(job->fills);
    free(job);
}

bool trade_job_draw_client_id(char out[TRADE_CLIENT_BASE_MAX])
{
    uint8_t random[16];

    if (!crypto_random(random, sizeof(random))) {
        return false;
    }
    out[0] = 'w';
    crypto_base32(random, sizeof(random), out + 1);
    return true;
}

void trade_job_client_id(const trade_job *job, char out[TRADE_CLIENT_ID_MAX])
{
    snprintf(out, TRADE_CLIENT_ID_MAX, "%s%02d", job->client_base, job->attempt);
}

void trade_queue_push(trade_queue *queue, trade_job *job)
{
    job->next = NULL;
    if (queue->last != NULL) {
        queue->last->next = job;
    } else {
        queue->first = job;
    }
    queue->last = job;
    queue->count++;
}

void trade_queue_push_front(trade_queue *queue, trade_job *job)
{
    job->next = queue->first;
    queue->first = job;
    if (queue->last == NULL) {
        queue->last = job;
    }
    queue->count++;
}

trade_job *trade_queue_pop(trade_queue *queue)
{
    trade_job *job = queue->first;

    if (job != NULL) {
        queue->first = job->next;
        if (queue->first == NULL) {
            queue->last = NULL;
        }
        job->next = NULL;
        queue->count--;
    }
    return job;
}

trade_standing trade_job_standing(const trade_job *job)
{
    const whale_config *config = job->engine->config;
    int64_t now_ns = trade_caller_now_ns(job->market->caller);

    return (trade_standing){.reduce_only = job->reduce_only,
                            .attempt = job->attempt,
                            .asks = job->asks,
                            .overdue = now_ns > job->requested_ns + TRADE_ACCOUNT_PATIENCE_NS,
                            .window_over = now_ns > job->requested_ns + config->receive_window_ns +
                                                        TRADE_WINDOW_MARGIN_NS};
}
