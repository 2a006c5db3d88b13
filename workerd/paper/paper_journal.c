/*
 * The journal's file: read at the start, then appended to. See the header for the promises.
 */
#include "workerd/paper/paper_journal.h"

#include "core/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

struct paper_journal {
    int fd; /* -1: none is kept */
    paper_exchange *exchange;
    paper_journal_other *other;
    void *owner;
    off_t size;
};

static bool paper_journal_apply(paper_journal *journal, const char *line, size_t length)
{
    static jsmntok_t tokens[PAPER_LINE_TOKENS];
    paper_event_texts texts;
    paper_event event;
    json_doc doc;

    if (json_parse(&doc, line, length, tokens, PAPER_LINE_TOKENS) != JSON_OK) {
        return false;
    }
    if (json_equals(&doc, json_at(&doc, 0, "kind"), "leader")) {
        return journal->other == NULL || journal->other(journal->owner, &doc);
    }
    return paper_journal_read(&doc, journal->exchange, &event, &texts) &&
           paper_exchange_apply(journal->exchange, &event);
}

/* All whole lines; *kept is where they end. False with the number of a wrong line. */
static bool paper_journal_replay(paper_journal *journal, const char *text, size_t size,
                                 size_t *kept, char *error, size_t capacity)
{
    const char *at = text, *end = text + size;
    unsigned long lines = 0;

    while (at < end) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));

        if (stop == NULL) {
            break; /* torn: the process was killed while it wrote, so nobody was answered */
        }
        lines++;
        if (stop > at && !paper_journal_apply(journal, at, (size_t)(stop - at))) {
            snprintf(error, capacity, "the journal's line %lu does not fit what came before it",
                     lines);
            return false;
        }
        at = stop + 1;
    }
    *kept = (size_t)(at - text);
    log_event(LOG_INFO, "paper.journal_read", "lines", LOG_INT(lines), "torn_bytes",
              LOG_INT(end - at), NULL);
    return true;
}

static bool paper_journal_load(paper_journal *journal, char *error, size_t capacity)
{
    struct stat status;
    size_t kept = 0;
    void *text;
    bool good;

    if (fstat(journal->fd, &status) != 0) {
        snprintf(error, capacity, "the journal cannot be read: %s", strerror(errno));
        return false;
    }
    if (status.st_size == 0) {
        return true;
    }
    text = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_PRIVATE, journal->fd, 0);
    if (text == MAP_FAILED) {
        snprintf(error, capacity, "the journal cannot be read: %s", strerror(errno));
        return false;
    }
    madvise(text, (size_t)status.st_size, MADV_SEQUENTIAL);
    good = paper_journal_replay(journal, text, (size_t)status.st_size, &kept, error, capacity);
    munmap(text, (size_t)status.st_size);
    if (good && (off_t)kept < status.st_size && ftruncate(journal->fd, (off_t)kept) != 0) {
        snprintf(error, capacity, "the journal's torn end cannot be cut off: %s", strerror(errno));
        return false;
    }
    journal->size = (off_t)kept;
    return good;
}

paper_journal *paper_journal_open(const char *path, paper_exchange *exchange,
                                  paper_journal_other *other, void *owner, char *error,
                                  size_t capacity)
{
    paper_journal *journal = calloc(1, sizeof(*journal));

    if (journal == NULL) {
        snprintf(error, capacity, "no memory");
        return NULL;
    }
    *journal =
        (paper_journal){.fd = -1, .exchange = exchange, .other = other, .owner = owner, .size = 0};
    if (path[0] == '\0') {
        return journal;
    }
    journal->fd = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (journal->fd < 0) {
        snprintf(error, capacity, "%s cannot be opened: %s", path, strerror(errno));
    } else if (paper_journal_load(journal, error, capacity)) {
        exchange->record = paper_journal_event;
        exchange->owner = journal;
        return journal;
    }
    paper_journal_close(journal);
    return NULL;
}

void paper_journal_close(paper_journal *journal)
{
    if (journal == NULL) {
        return;
    }
    if (journal->fd >= 0) {
        close(journal->fd);
    }
    free(journal);
}

/* One write: whole, or taken back. */
static bool paper_journal_append(paper_journal *journal, const char *text, size_t length)
{
    ssize_t written;

    do {
        written = write(journal->fd, text, length);
    } while (written < 0 && errno == EINTR);
    if (written == (ssize_t)length) {
        journal->size += written;
        return true;
    }
    log_event(LOG_ERROR, "paper.journal_failed", "error",
              LOG_TEXT(written < 0 ? strerror(errno) : "short write"), NULL);
    if (written > 0 && ftruncate(journal->fd, journal->size) != 0) {
        /* Half a line would spoil every later one: better no venue than a wrong record. */
        abort();
    }
    return false;
}

bool paper_journal_line(paper_journal *journal, const char *text, size_t length)
{
    char line[PAPER_LINE_MAX];

    if (journal->fd < 0) {
        return true;
    }
    if (length >= sizeof(line)) {
        return false;
    }
    memcpy(line, text, length);
    line[length] = '\n';
    return paper_journal_append(journal, line, length + 1);
}

bool paper_journal_event(void *owner, const paper_event *event)
{
    paper_journal *journal = owner;
    char line[PAPER_LINE_MAX];
    json_writer writer;

    if (journal->fd < 0) {
        return true;
    }
    json_begin(&writer, line, sizeof(line) - 1);
    if (!paper_journal_write(&writer, journal->exchange, event)) {
        return false;
    }
    line[writer.length] = '\n';
    return paper_journal_append(journal, line, writer.length + 1);
}
