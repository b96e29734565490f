/* The compiled twin's C interface. Read by harness.cpp, and by twin.py through cffi (so: no preprocessor lines). */

typedef struct twin twin;

typedef struct {
    uint64_t tick;
    uint8_t channel; /* 255: the reference input; 254: PPS; 253: 10 MHz */
    uint8_t pad[7];
} twin_click; /* laid out like qlink.firmware_bridge.events.CLICK */

/* The outputs in a clock in which a herald pin is high, or a trigger or an action changes. */
typedef struct {
    uint64_t clock;
    uint8_t pins;     /* heralds, one bit an outcome */
    uint8_t triggers;
    uint16_t actions; /* bit a * samples + s is action output a at subtick s */
    uint8_t pad[4];
} twin_pulse;

typedef struct {
    uint64_t begin, end; /* clocks in which the link takes no byte: begin <= clock < end */
} twin_stall;

typedef struct {
    uint8_t skipping;        /* 0: evaluate every clock */
    uint8_t capture;         /* 1: keep the outputs for twin_take_pulses */
    uint32_t clocks_per_byte; /* of the link, each way; at least 1 */
} twin_options;

typedef struct {
    uint64_t now;            /* clocks since reset */
    uint64_t evaluated;      /* clocks that were computed; the others were skipped */
    uint64_t unresolved[19]; /* clicks that could not be an edge: by channel, then reference, PPS, 10 MHz */
    uint8_t idle;            /* nothing moves inside, and no byte waits */
} twin_state;

/* One call's work: pointers and counts in, what was taken and given out. */
typedef struct {
    const twin_click *clicks; /* sorted by tick, none before `now` */
    size_t click_count;
    const uint8_t *requests;
    size_t request_count;
    uint8_t *bytes;
    size_t byte_capacity;
    uint64_t until;        /* return when `now` is here */
    uint64_t evaluations;  /* compute at most so many clocks */
    uint8_t until_answered; /* return once bytes came, all requests went and the board is idle */
    size_t clicks_taken, requests_taken, bytes_given;
} twin_work;

/* What a cable does to the n-th message that begins on one of its lines, from 0 on. */
typedef struct {
    uint64_t message;     /* n */
    uint8_t end;          /* 0, 1: the twin that hears it */
    uint8_t line;         /* 0: ready, 1: trigger, 2: success */
    uint8_t kind;         /* twin_fault_kind */
    uint8_t pad;
    uint32_t first, last; /* clocks of the message: first <= clock < last */
} twin_fault;

typedef enum { TWIN_LOW, TWIN_INVERTED, TWIN_AGAIN } twin_fault_kind; /* AGAIN: the clocks follow the message again */

typedef struct cable cable; /* the lines between two twins */

typedef enum { TWIN_REACHED, TWIN_FULL, TWIN_EVALUATED, TWIN_ANSWERED, TWIN_CLICK_TOO_LATE } twin_end;

twin *twin_new(const twin_options *options);
void twin_delete(twin *self);
const twin_state *twin_look(const twin *self);
void twin_set_stalls(twin *self, const twin_stall *stalls, size_t count); /* sorted; replaces earlier ones */
size_t twin_take_pulses(twin *self, twin_pulse *into, size_t capacity);
twin_end twin_run(twin *self, twin_work *work);

cable *cable_new(uint32_t message_clocks, uint32_t between); /* `between` a message and the same one again */
void cable_delete(cable *self);
uint64_t cable_heard(const cable *self, uint8_t end, uint8_t line); /* messages that have begun */
void cable_add_fault(cable *self, const twin_fault *fault);
/* Both twins move by the same clocks. `asked` is the one whose bytes end the call if until_answered. */
twin_end cable_run(cable *self, twin *left, twin *right, twin_work *works, int asked);
