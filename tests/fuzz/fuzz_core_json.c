/*
 * Fuzzes the JSON reader and writer. Checked: every token of what is taken is reached exactly once
 * by iteration; what the reader gives and the writer writes again is taken again with as many
 * tokens; accessors are safe on every index.
 */
#include "core/json.h"

#include <stdlib.h>
#include <string.h>

#define TOKENS 512
#define TEXT_MAX 65536

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static jsmntok_t tokens[TOKENS], again_tokens[TOKENS];
static char written[TEXT_MAX], text[TEXT_MAX];

static void must(bool truth)
{
    if (!truth) {
        abort();
    }
}

/* json_parse has bounded the depth, so that this recursion is. */
static int copy_value(const json_doc *doc, int node, json_writer *writer)
{
    const char *slice;
    size_t length;
    int count = 1;

    must(json_slice(doc, node, &slice, &length));
    if (json_is_object(doc, node)) {
        json_object(writer);
        for (int it = json_first(doc, node); it >= 0; it = json_next(doc, it)) {
            must(json_is_string(doc, it));
            json_key(writer, json_copy(doc, it, text, sizeof(text)) ? text : "with NUL");
            count += 1 + copy_value(doc, it + 1, writer);
        }
        json_object_end(writer);
    } else if (json_is_array(doc, node)) {
        json_array(writer);
        for (int it = json_first(doc, node); it >= 0; it = json_next(doc, it)) {
            count += copy_value(doc, it, writer);
        }
        json_array_end(writer);
    } else if (json_copy(doc, node, text, sizeof(text))) {
        must(json_equals(doc, node, text));
        json_string(writer, text);
    } else if (json_is_string(doc, node)) {
        json_text(writer, slice, length);
    } else {
        json_raw(writer, slice, length);
    }
    return count;
}

static void touch_everything(const json_doc *doc)
{
    char small[5];
    dec decimal;
    int64_t whole;
    bool truth;

    for (int node = -1; node <= doc->count; node++) {
        json_copy(doc, node, small, sizeof(small));
        json_get_dec(doc, node, &decimal);
        json_get_dec_rounded(doc, node, &decimal);
        json_get_int(doc, node, &whole);
        json_get_bool(doc, node, &truth);
        json_at(doc, node, "a.b[1].c");
        json_at(doc, node, "[0][0]");
        must(json_next(doc, node) < doc->count);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    json_doc doc, again;
    json_writer writer;

    if (json_parse(&doc, (const char *)data, size, tokens, TOKENS) != JSON_OK) {
        must(doc.count == 0);
        return 0;
    }
    touch_everything(&doc);
    json_begin(&writer, written, sizeof(written));
    must(copy_value(&doc, 0, &writer) == doc.count);
    if (!json_finish(&writer)) {
        must(writer.failed && size > sizeof(written) / 8);
        return 0;
    }
    must(json_parse(&again, written, writer.length, again_tokens, TOKENS) == JSON_OK);
    must(again.count == doc.count);
    /* and in a buffer of any other size it fits or fails, no more */
    json_begin(&writer, text, size);
    json_text(&writer, (const char *)data, size);
    json_finish(&writer);
    must(writer.length <= size);
    return 0;
}
