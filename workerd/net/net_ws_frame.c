/*
 * Frames to messages and back, over wslay's frame functions, which keep the wire format.
 *
 * Promises: a message that lies whole in wslay's buffer is handed over from there, others are put
 * together first; every limit is checked before memory is taken for it; a frame that breaks RFC
 * 6455 ends the connection with the code that the RFC names. The caller may close from within a
 * message.
 */
#include "workerd/net/net_ws_private.h"

#include "core/clock.h"
#include "core/crypto.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- wslay's callbacks ----------------------------------------------------------------------- */

static ssize_t on_wslay_recv(uint8_t *buffer, size_t length, int flags, void *owner)
{
    net_ws *ws = owner;

    (void)flags;
    if (length > ws->input_left) {
        length = ws->input_left;
    }
    memcpy(buffer, ws->input, length);
    ws->input += length;
    ws->input_left -= length;
    return (ssize_t)length; /* 0: comes back as WANT_READ */
}

static ssize_t on_wslay_send(const uint8_t *data, size_t length, int flags, void *owner)
{
    net_ws *ws = owner;

    (void)flags;
    return net_ws_buffer_append(&ws->output, data, length) ? (ssize_t)length : -1;
}

static int on_wslay_mask(uint8_t *mask, size_t length, void *owner)
{
    (void)owner;
    return crypto_random(mask, length) ? 0 : -1;
}

bool net_ws_frame_start(net_ws *ws)
{
    static const struct wslay_frame_callbacks callbacks = {
        .send_callback = on_wslay_send,
        .recv_callback = on_wslay_recv,
        .genmask_callback = on_wslay_mask,
    };

    return wslay_frame_context_init(&ws->frames, &callbacks, ws) == 0;
}

/* ---- out ------------------------------------------------------------------------------------- */

bool net_ws_frame_send(net_ws *ws, uint8_t opcode, const void *data, size_t length)
{
    struct wslay_frame_iocb frame = {
        .fin = 1,
        .opcode = opcode,
        .payload_length = length,
        .mask = 1,
        .data = data,
        .data_length = length,
    };

    ws->output.length = 0;
    do {
        ssize_t sent = wslay_frame_send(ws->frames, &frame);

        if (sent < 0) {
            net_ws_end(ws, "a frame could not be made");
            return false;
        }
        frame.data += sent;
        frame.data_length -= (size_t)sent;
    } while (frame.data_length > 0);
    if (ws->ssl != NULL) {
        net_ws_tls_output(ws, ws->output.data, ws->output.length);
    } else {
        net_ws_socket_output(ws, ws->output.data, ws->output.length);
    }
    if (ws->output.capacity > NET_WS_BUFFER_KEPT) {
        free(ws->output.data);
        ws->output = (net_ws_buffer){0};
    }
    return ws->state != NET_WS_DEAD;
}

void net_ws_frame_send_close(net_ws *ws, enum net_ws_code code)
{
    const uint8_t payload[2] = {(uint8_t)(code >> 8), (uint8_t)(code & 0xff)};

    net_ws_frame_send(ws, WSLAY_CONNECTION_CLOSE, payload, sizeof(payload));
}

/* ---- in -------------------------------------------------------------------------------------- */

static void deliver(net_ws *ws, const char *data, size_t length)
{
    bool text = ws->message_opcode == WSLAY_TEXT_FRAME;

    ws->message_opcode = 0;
    if (ws->state != NET_WS_OPEN) { /* we said goodbye: nobody wants it */
        return;
    }
    if (text && !net_ws_is_utf8(data, length)) {
        net_ws_failed(ws, NET_WS_INVALID_TEXT, "text that is not UTF-8");
        return;
    }
    ws->events.message(ws->owner, data, length, text);
}

/* The message in the buffer is whole. */
static void deliver_buffered(net_ws *ws)
{
    net_ws_buffer message = ws->message;

    /* Ours during the callback, which may end the connection. */
    ws->message = (net_ws_buffer){0};
    deliver(ws, message.data != NULL ? message.data : "", message.length);
    if (message.capacity <= NET_WS_BUFFER_KEPT) {
        message.length = 0;
        ws->message = message;
    } else {
        free(message.data);
    }
}

static void on_close_frame(net_ws *ws)
{
    char reason[NET_WS_REASON_MAX];
    unsigned code = 0;

    if (ws->control_length == 1) {
        net_ws_failed(ws, NET_WS_PROTOCOL_ERROR, "a close frame of one byte");
        return;
    }
    if (ws->control_length >= 2) {
        code = (unsigned)ws->control[0] << 8 | ws->control[1];
        if (!net_ws_is_utf8((const char *)ws->control + 2, ws->control_length - 2)) {
            net_ws_failed(ws, NET_WS_INVALID_TEXT, "a close reason that is not UTF-8");
            return;
        }
    }
    if (ws->state == NET_WS_OPEN) {
        net_ws_frame_send(ws, WSLAY_CONNECTION_CLOSE, ws->control, ws->control_length >= 2 ? 2 : 0);
        snprintf(reason, sizeof(reason), "closed by the peer: %u %.*s", code,
                 ws->control_length > 2 ? (int)ws->control_length - 2 : 0,
                 ws->control_length > 2 ? (const char *)ws->control + 2 : "");
        net_ws_end(ws, reason);
    } else {
        net_ws_end(ws, NULL); /* the answer to ours: our own reason holds */
    }
}

static void on_control_frame(net_ws *ws)
{
    switch (ws->frame_opcode) {
    case WSLAY_PING:
        if (ws->state == NET_WS_OPEN &&
            uv_stream_get_write_queue_size((uv_stream_t *)&ws->tcp) < NET_WS_OUTGOING_MAX) {
            net_ws_frame_send(ws, WSLAY_PONG, ws->control, ws->control_length);
        }
        break;
    case WSLAY_CONNECTION_CLOSE:
        on_close_frame(ws);
        break;
    default:
        break;
    }
}

/* The header of a new frame. False: the connection has ended. */
static bool begin_frame(net_ws *ws, const struct wslay_frame_iocb *frame)
{
    const char *fault = NULL;

    if (frame->mask) {
        fault = "a masked frame from a server";
    } else if (frame->rsv != 0) {
        fault = "a reserved bit";
    } else if (wslay_is_ctrl_frame(frame->opcode)) {
        if (frame->opcode > WSLAY_PONG) {
            fault = "an unknown control frame";
        }
        ws->control_length = 0;
    } else if (frame->opcode == WSLAY_CONTINUATION_FRAME) {
        fault = ws->message_opcode == 0 ? "a continuation of nothing" : NULL;
    } else if (frame->opcode > WSLAY_BINARY_FRAME) {
        fault = "an unknown data frame";
    } else if (ws->message_opcode != 0) {
        fault = "a message inside another";
    } else {
        ws->message_opcode = frame->opcode;
        ws->message.length = 0;
    }
    if (fault != NULL) {
        net_ws_failed(ws, NET_WS_PROTOCOL_ERROR, fault);
        return false;
    }
    if (!wslay_is_ctrl_frame(frame->opcode) &&
        frame->payload_length > NET_WS_MESSAGE_MAX - ws->message.length) {
        net_ws_failed(ws, NET_WS_TOO_LARGE, "a message that is too large");
        return false;
    }
    ws->in_frame = true;
    ws->frame_left = frame->payload_length;
    ws->frame_opcode = frame->opcode;
    ws->frame_fin = frame->fin;
    return true;
}

/* Part of a frame, or all of it. */
static void take_part(net_ws *ws, const struct wslay_frame_iocb *frame)
{
    bool first = !ws->in_frame;

    if (first && !begin_frame(ws, frame)) {
        return;
    }
    ws->frame_left -= frame->data_length;
    if (ws->frame_left == 0) {
        ws->in_frame = false;
        ws->last_receive_ns = ws->input_ns;
    }
    if (wslay_is_ctrl_frame(ws->frame_opcode)) {
        memcpy(ws->control + ws->control_length, frame->data, frame->data_length);
        ws->control_length += frame->data_length;
        if (ws->frame_left == 0) {
            on_control_frame(ws);
        }
        return;
    }
    if (ws->frame_left == 0 && first && ws->frame_fin && ws->message.length == 0) {
        deliver(ws, (const char *)frame->data, frame->data_length);
        return;
    }
    if (!net_ws_buffer_append(&ws->message, frame->data, frame->data_length)) {
        net_ws_end(ws, "out of memory");
        return;
    }
    if (ws->frame_left == 0 && ws->frame_fin) {
        deliver_buffered(ws);
    }
}

void net_ws_frame_input(net_ws *ws, const char *data, size_t length)
{
    ws->input = (const uint8_t *)data;
    ws->input_left = length;
    ws->input_ns = clock_monotonic_ns();
    while (ws->state == NET_WS_OPEN || ws->state == NET_WS_CLOSING) {
        struct wslay_frame_iocb frame;
        ssize_t got = wslay_frame_recv(ws->frames, &frame);

        if (got == WSLAY_ERR_WANT_READ) {
            return;
        }
        if (got < 0) {
            net_ws_failed(ws, NET_WS_PROTOCOL_ERROR, "a malformed frame");
            return;
        }
        take_part(ws, &frame);
    }
}
