/* Throw damaged streams at the decoder under the sanitizers: `fuzz_decode SECONDS SEED`. With libFuzzer, main is not used.
 *
 * Output arrays are small and of exact size, so that every write past their end is seen; pieces are random; what was
 * counted has to add up at the end. */
#include "decode.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { ROOM = QL_MAX_FRAME_WORDS, CLICKS = QL_MAX_FRAME_CLICKS, STREAM = 1 << 14 };

static uint64_t state;

static uint32_t draw(uint32_t below)
{
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(state >> 33) % below;
}

static void *exact(size_t count, size_t size)
{
    void *memory = malloc(count * size);
    if (!memory)
        abort();
    return memory;
}

static ql_events make_events(void)
{
    return (ql_events){
        .clicks = exact(CLICKS, sizeof(ql_click)),
        .heralds = exact(ROOM, sizeof(ql_herald)),
        .counters = exact(ROOM, sizeof(ql_counter)),
        .losses = exact(ROOM, sizeof(ql_loss)),
        .replies = exact(ROOM, sizeof(ql_reply)),
        .gaps = exact(1, sizeof(ql_gap)),
        .times = exact(ROOM, sizeof(ql_time)),
        .epochs = exact(1, sizeof(ql_epoch)),
        .clicks_max = CLICKS,
        .heralds_max = ROOM,
        .counters_max = ROOM,
        .losses_max = ROOM,
        .replies_max = ROOM,
        .gaps_max = 1,
        .times_max = ROOM,
        .epochs_max = 1,
    };
}

static void drain(ql_events *events)
{
    events->clicks_count = events->heralds_count = events->counters_count = 0;
    events->losses_count = events->replies_count = events->gaps_count = 0;
    events->times_count = events->epochs_count = 0;
}

static void free_events(ql_events *events)
{
    free(events->clicks);
    free(events->heralds);
    free(events->counters);
    free(events->losses);
    free(events->replies);
    free(events->gaps);
    free(events->times);
    free(events->epochs);
}

/* Feed a copy of exact size, so that every read past its end is seen. */
static void feed(ql_decoder *decoder, const uint8_t *data, size_t size, ql_events *events)
{
    uint8_t *piece = exact(size ? size : 1, 1);
    size_t taken = 0;

    memcpy(piece, data, size);
    while (ql_feed(decoder, piece, size, &taken, events) == QL_FULL)
        drain(events);
    if (taken != size || decoder->carried >= QL_FRAME_MAX_BYTES)
        abort();
    free(piece);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ql_decoder *decoder = calloc(1, sizeof *decoder);
    ql_events events = make_events();

    for (size_t at = 0; at < size;) {
        size_t piece = 1 + draw(draw(2) ? 3000 : 20);
        piece = piece < size - at ? piece : size - at;
        feed(decoder, data + at, piece, &events);
        at += piece;
    }
    while (ql_resync(decoder, &events) == QL_FULL)
        drain(&events);
    if (decoder->carried || decoder->bytes != size || decoder->bytes_skipped > size)
        abort();
    free_events(&events);
    free(decoder);
    return 0;
}

#ifndef LIBFUZZER
/* Coded clicks, or bits that are none: ones and zeros in runs of all lengths, and an end that is right now and then. */
static void make_coded(uint8_t *at, size_t words)
{
    const uint32_t k = draw(QL_RICE_K_MAX + 1);
    uint8_t *payload = at + QL_HEADER_BYTES;

    at[QL_HEADER_PARAMETER_AT] = (uint8_t)(draw(20) ? k | draw(QL_RICE_CHANNEL_BITS_MAX + 1) << QL_RICE_K_BITS : draw(256));
    payload[3] = (uint8_t)(payload[3] & (draw(20) ? 127 : 255));
    if (draw(2))
        payload[2] = payload[3] = 0;
    for (size_t i = draw(2) ? 4 * words : 4; i < 4 * words; i++)
        payload[i] &= (uint8_t)draw(256);
    for (size_t i = 4 * words - draw(4) - 1; i > 3 && i < 4 * words; i++)
        payload[i] = 255;
    if (!draw(20))
        memset(payload + 4, draw(2) ? 0 : 255, 4 * words - 4);
}

/* A frame with a right CRC and records of any kind, right or wrong. */
static size_t put_frame(uint8_t *at)
{
    const size_t words = 1 + draw(draw(3) ? 40 : QL_MAX_FRAME_WORDS), size = QL_HEADER_BYTES + 4 * words;
    uint32_t crc;

    for (size_t i = 0; i < size; i++)
        at[i] = (uint8_t)draw(256);
    for (size_t word = 0; word < words && draw(8); word++)
        at[QL_HEADER_BYTES + 4 * word + 3] = (uint8_t)((draw(2) ? draw(20) : QL_KIND_HERALD + draw(5)) << 3);
    at[0] = QL_FRAME_SYNC & 255;
    at[1] = QL_FRAME_SYNC >> 8;
    at[QL_HEADER_WORDS_AT] = (uint8_t)words;
    at[QL_HEADER_WORDS_AT + 1] = (uint8_t)(words >> 8);
    at[QL_HEADER_CODING_AT] = (uint8_t)(draw(20) ? draw(2) : 2);
    if (at[QL_HEADER_CODING_AT] == QL_CODING_RICE)
        make_coded(at, words);
    else
        at[QL_HEADER_PARAMETER_AT] = draw(20) ? 0 : 1;
    crc = ql_crc32(at + QL_SYNC_BYTES, size - QL_SYNC_BYTES);
    for (size_t i = 0; i < QL_CRC_BYTES; i++)
        at[size + i] = (uint8_t)(crc >> 8 * i);
    return size + QL_CRC_BYTES;
}

static size_t put_stream(uint8_t *data)
{
    size_t size = 0;

    while (size + QL_FRAME_MAX_BYTES + 8 < STREAM && draw(40)) {
        size += put_frame(data + size);
        if (!draw(4))
            data[draw((uint32_t)size)] ^= (uint8_t)(1 + draw(255));
        if (!draw(4))
            size -= draw(size < 30 ? (uint32_t)size : 30);
        if (!draw(4))
            size += (size_t)snprintf((char *)data + size, 8, "QL%c%c", (int)draw(256), (int)draw(3));
    }
    return size;
}

int main(int argc, char **argv)
{
    static uint8_t data[STREAM];
    const double seconds = argc > 1 ? atof(argv[1]) : 1;
    const clock_t end = clock() + (clock_t)(seconds * CLOCKS_PER_SEC);
    unsigned long streams = 0;

    for (state = argc > 2 ? strtoull(argv[2], NULL, 10) : 1; clock() < end; streams++)
        LLVMFuzzerTestOneInput(data, put_stream(data));
    printf("%lu streams\n", streams);
    return 0;
}
#endif
