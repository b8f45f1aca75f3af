/* The command `moat`: carries out a plain `moat attach [RUN]`, and starts Python for everything else.
 *
 * Attaching is connecting to the run's supervisor, passing it the terminal, waiting, and giving the terminal
 * back: the supervisor paints it and reads its keyboard (docs/decisions/0027, 0028). For that an interpreter
 * would take most of the time. Whatever is unusual is Python's: before anything was changed it gets the command
 * line as it is, and later a handover (moat/client/attach/handover.py) besides. So there is no error message in
 * here. The frames are those of moat/wire/frames.py.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

enum {
    HELLO = 1, RESIZE = 4, DETACH = 6, PAUSE = 7, RESUME = 8, INTERRUPT = 12, PING = 13,
    STDOUT = 17, DETACHED = 21, EXITED = 22, FAILED = 23, PAUSED = 24,
    NOT_LENT = 25, BACKGROUND = 26, HELD = 27, TAKEN = 28, PASTING = 29, PONG = 30,
};
enum { HEADER = 5, MAX_PAYLOAD = 1 << 20, MAX_HELD = 1 << 19, HEAD_BYTES = 4096, LEVEL = 3 };
/* A supervisor that answers later is Python's to wait for. */
enum { ANSWER_MS = 1000, UNREAD_MS = 1000, SILENT_MS = 10000, LEAVE_MS = 2000 };

/* The defaults of moat/config/settings.py; who has settings of their own gets Python. */
#define PREFIX "1f"
#define PREFIX_TIMEOUT "0.5"
#define INTERRUPT_WINDOW "1.5"

struct run {
    char id[64], name[256];
    bool interactive;
};

struct view {
    char **argv;
    struct run run;
    int sock, signals;
    struct termios saved, taken;
    bool raw, asked, leaving;
    int64_t deadline; /* when to look whether keys were read, or to leave; 0: never */
    char held[MAX_HELD];
    size_t held_size;
    bool pasting;
};

static unsigned char buffer[HEADER + MAX_PAYLOAD];
static size_t buffered;
static sigset_t mask_before;

/* --- Python --- */

static void python(char **argv) __attribute__((noreturn));

/* Become the Python command beside this one, whose first line names its interpreter. */
static void python(char **argv)
{
    char path[PATH_MAX];
    ssize_t size = readlink("/proc/self/exe", path, sizeof path - sizeof "-python");
    if (size > 0) {
        strcpy(path + size, "-python");
        execv(path, argv);
    }
    dprintf(STDERR_FILENO, "moat: cannot start %s: %s\n      Install moat again\n",
            size > 0 ? path : "python", strerror(errno));
    _exit(125);
}

/* --- the terminal --- */

static bool in_foreground(void) { return tcgetpgrp(STDIN_FILENO) == getpgrp(); }

static void take_terminal(struct view *view)
{
    struct termios wanted = view->saved;
    cfmakeraw(&wanted);
    sigset_t none, before; /* in the background this stops us, as it should */
    sigemptyset(&none);
    sigaddset(&none, SIGTTOU);
    sigprocmask(SIG_UNBLOCK, &none, &before);
    tcsetattr(STDIN_FILENO, TCSANOW, &wanted);
    sigprocmask(SIG_SETMASK, &before, NULL);
    tcgetattr(STDIN_FILENO, &view->taken); /* as the kernel has it */
    view->raw = true;
}

/* Give the terminal back. In the background leave alone what a shell has set since. */
static void restore_terminal(struct view *view)
{
    if (!view->raw)
        return;
    view->raw = false;
    struct termios now;
    sigset_t ttou, before;
    sigemptyset(&ttou);
    sigaddset(&ttou, SIGTTOU);
    sigprocmask(SIG_BLOCK, &ttou, &before);
    if (in_foreground() || (tcgetattr(STDIN_FILENO, &now) == 0 && now.c_iflag == view->taken.c_iflag &&
                            now.c_oflag == view->taken.c_oflag && now.c_lflag == view->taken.c_lflag))
        tcsetattr(STDIN_FILENO, TCSANOW, &view->saved);
    sigprocmask(SIG_SETMASK, &before, NULL);
}

/* Return whether keys and output are of one terminal that is ours to change. */
static bool one_terminal(void)
{
    struct stat in, out;
    return isatty(STDIN_FILENO) && isatty(STDOUT_FILENO) && fstat(STDIN_FILENO, &in) == 0 &&
           fstat(STDOUT_FILENO, &out) == 0 && in.st_rdev == out.st_rdev && in_foreground();
}

/* --- leaving it to Python in the middle --- */

/* Tell Python what has happened so far, by a file without a name, and become it. */
static void hand_over(struct view *view, const char *what, const char *ended) __attribute__((noreturn));

static void hand_over(struct view *view, const char *what, const char *ended)
{
    restore_terminal(view);
    sigprocmask(SIG_SETMASK, &mask_before, NULL);
    int fd = memfd_create("moat-handover", 0);
    if (fd >= 0) {
        dprintf(fd, "{\"run\": \"%s\", \"what\": \"%s\", \"pasting\": %s, \"ended\": %s, \"held\": \"",
                view->run.id, what, view->pasting ? "true" : "false", ended);
        for (size_t i = 0; i < view->held_size; i++)
            dprintf(fd, "%02x", (unsigned char)view->held[i]);
        dprintf(fd, "\"}");
        char number[16];
        snprintf(number, sizeof number, "%d", fd);
        setenv("MOAT_HANDOVER", number, 1);
    }
    python(view->argv);
}

/* --- finding the run --- */

static bool home_path(char *home, size_t size)
{
    const char *chosen = getenv("MOAT_HOME"), *user = getenv("HOME");
    int length = chosen && *chosen ? snprintf(home, size, "%s", chosen)
                 : user            ? snprintf(home, size, "%s/.moat", user)
                                   : -1;
    return length > 0 && (size_t)length < size && home[0] == '/';
}

/* Return the function of the system's SQLite, whose interface has been the same for twenty years. */
static void *sqlite(void *library, const char *name) { return library ? dlsym(library, name) : NULL; }

/* Look up a run that has a terminal and has not ended: by its name or id, or the newest without. */
static bool find_run(const char *home, const char *name, struct run *run)
{
    char path[PATH_MAX];
    if ((size_t)snprintf(path, sizeof path, "%s/moat.db", home) >= sizeof path)
        return false;
    void *lib = dlopen("libsqlite3.so.0", RTLD_NOW | RTLD_LOCAL);
    int (*open_)(const char *, void **, int, const char *) = sqlite(lib, "sqlite3_open_v2");
    int (*prepare)(void *, const char *, int, void **, const char **) = sqlite(lib, "sqlite3_prepare_v2");
    int (*bind)(void *, int, const char *, int, void *) = sqlite(lib, "sqlite3_bind_text");
    int (*step)(void *) = sqlite(lib, "sqlite3_step");
    const unsigned char *(*text)(void *, int) = sqlite(lib, "sqlite3_column_text");
    int (*integer)(void *, int) = sqlite(lib, "sqlite3_column_int");
    if (!open_ || !prepare || !bind || !step || !text || !integer)
        return false;
    enum { READ_ONLY = 1, ROW = 100, DONE = 101 };
    const char *query = name ? "SELECT id, name, interactive, tty FROM runs WHERE name = ?1 OR id = ?1"
                             : "SELECT id, name, interactive, tty FROM runs WHERE state IN ('created', "
                               "'starting', 'running', 'stopping') ORDER BY created_at DESC, id DESC LIMIT 1";
    void *database = NULL, *statement = NULL;
    /* Neither is closed: this process either ends soon or becomes another. */
    if (open_(path, &database, READ_ONLY, NULL) != 0 || prepare(database, query, -1, &statement, NULL) != 0)
        return false;
    if ((name && bind(statement, 1, name, -1, NULL) != 0) || step(statement) != ROW || !integer(statement, 3))
        return false;
    const char *id = (const char *)text(statement, 0), *its_name = (const char *)text(statement, 1);
    if (!id || !its_name || strlen(id) >= sizeof run->id || strlen(its_name) >= sizeof run->name)
        return false;
    strcpy(run->id, id);
    strcpy(run->name, its_name);
    run->interactive = integer(statement, 2) != 0;
    return step(statement) == DONE;
}

/* --- the connection --- */

static int connect_to(const char *home, const char *id)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t room = sizeof address.sun_path;
    if ((size_t)snprintf(address.sun_path, room, "%s/runs/%s/supervisor.sock", home, id) >= room)
        return -1;
    int sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct timeval patience = {.tv_sec = ANSWER_MS / 1000};
    if (sock < 0 || setsockopt(sock, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience) != 0)
        return -1;
    return connect(sock, (struct sockaddr *)&address, sizeof address) == 0 ? sock : -1;
}

/* Ask for frames; return whether they are what we understand. */
static bool upgrade(int sock)
{
    static const char request[] = "GET /v1/attach HTTP/1.1\r\nHost: moat\r\n"
                                  "Connection: Upgrade\r\nUpgrade: moat-attach/1\r\n\r\n";
    if (send(sock, request, sizeof request - 1, MSG_NOSIGNAL) != sizeof request - 1)
        return false;
    char head[HEAD_BYTES + 1];
    size_t size = 0;
    do { /* the supervisor says nothing more before our HELLO */
        struct pollfd answer = {.fd = sock, .events = POLLIN};
        if (size == HEAD_BYTES || poll(&answer, 1, ANSWER_MS) != 1)
            return false;
        ssize_t got = recv(sock, head + size, HEAD_BYTES - size, 0);
        if (got <= 0)
            return false;
        size += (size_t)got;
        head[size] = '\0';
    } while (!strstr(head, "\r\n\r\n"));
    const char *level = strstr(head, "\r\nMoat-Level: ");
    return strncmp(head, "HTTP/1.1 101 ", 13) == 0 && level && atoi(level + 14) >= LEVEL;
}

static void put_header(unsigned char *frame, int kind, size_t size)
{
    frame[0] = (unsigned char)kind;
    for (int i = 0; i < 4; i++)
        frame[1 + i] = (unsigned char)(size >> (24 - 8 * i));
}

/* Send a small frame. Where that fails the connection is lost, which reading will tell. */
static void send_frame(const struct view *view, int kind, const void *payload, size_t size)
{
    unsigned char frame[HEADER + 16];
    put_header(frame, kind, size);
    if (size)
        memcpy(frame + HEADER, payload, size);
    (void)!send(view->sock, frame, HEADER + size, MSG_NOSIGNAL);
}

static void send_size(const struct view *view)
{
    struct winsize size = {0};
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || !size.ws_col || !size.ws_row)
        return;
    uint16_t numbers[4] = {size.ws_col, size.ws_row, size.ws_xpixel, size.ws_ypixel};
    unsigned char payload[8];
    for (int i = 0; i < 4; i++) {
        payload[2 * i] = (unsigned char)(numbers[i] >> 8);
        payload[2 * i + 1] = (unsigned char)numbers[i];
    }
    send_frame(view, RESIZE, payload, sizeof payload);
}

static size_t append(char *text, size_t at, size_t size, const char *format, ...) __attribute__((format(printf, 4, 5)));

static size_t append(char *text, size_t at, size_t size, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(text + at, size - at, format, arguments);
    va_end(arguments);
    return length < 0 || (size_t)length >= size - at ? size - 1 : at + (size_t)length;
}

/* Say HELLO, and pass the terminal beside it. */
static bool greet(const struct view *view)
{
    struct winsize size = {0};
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || !size.ws_col || !size.ws_row)
        size = (struct winsize){.ws_col = 80, .ws_row = 24};
    char frame[2048];
    size_t room = sizeof frame, end = HEADER;
    end = append(frame, end, room,
                 "{\"columns\": %d, \"rows\": %d, \"width\": %d, \"height\": %d, \"terminal\": true, "
                 "\"passed\": true, \"keyboard\": {\"prefix\": \"" PREFIX "\", \"takes_input\": %s, "
                 "\"prefix_timeout\": " PREFIX_TIMEOUT ", \"interrupt_window\": " INTERRUPT_WINDOW "}, "
                 "\"termios\": [%u, %u, %u, %u, %u, %u, [",
                 size.ws_col, size.ws_row, size.ws_xpixel, size.ws_ypixel,
                 view->run.interactive ? "true" : "false", view->saved.c_iflag, view->saved.c_oflag,
                 view->saved.c_cflag, view->saved.c_lflag, cfgetispeed(&view->saved), cfgetospeed(&view->saved));
    for (int i = 0; i < NCCS; i++)
        end = append(frame, end, room, "%s%d", i ? ", " : "", view->saved.c_cc[i]);
    end = append(frame, end, room, "]]}");
    put_header((unsigned char *)frame, HELLO, end - HEADER);

    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(sizeof(int))];
    } control = {0};
    struct iovec data = {.iov_base = frame, .iov_len = end};
    struct msghdr message = {
        .msg_iov = &data, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(header), &(int){STDOUT_FILENO}, sizeof(int));
    return sendmsg(view->sock, &message, MSG_NOSIGNAL) == (ssize_t)end;
}

/* --- what the supervisor says --- */

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void write_all(const unsigned char *data, size_t size)
{
    while (size) {
        ssize_t count = write(STDOUT_FILENO, data, size);
        if (count < 0 && errno == EAGAIN)
            poll(&(struct pollfd){.fd = STDOUT_FILENO, .events = POLLOUT}, 1, LEAVE_MS);
        else if (count < 0 && errno != EINTR)
            return;
        data += count > 0 ? count : 0;
        size -= count > 0 ? (size_t)count : 0;
    }
}

static void leave(struct view *view)
{
    send_frame(view, DETACH, NULL, 0);
    if (!view->leaving)
        view->deadline = now_ms() + LEAVE_MS;
    view->leaving = true;
}

static void come_back(struct view *view)
{
    take_terminal(view);
    send_size(view);
    send_frame(view, RESUME, NULL, 0);
}

static void suspend(struct view *view)
{
    restore_terminal(view);
    raise(SIGSTOP);
    come_back(view);
}

/* Somebody types, and we are in the background: stop, as the kernel does to a reader. */
static void step_behind(struct view *view)
{
    if (!in_foreground())
        kill(0, SIGTTIN);
    if (in_foreground())
        come_back(view);
    else
        leave(view); /* nobody could continue us */
}

static void detached(struct view *view, const char *reason, size_t size) __attribute__((noreturn));

static void detached(struct view *view, const char *reason, size_t size)
{
    restore_terminal(view);
    dprintf(STDERR_FILENO, "moat: %.*s; the run goes on. Come back: moat attach %s\n",
            size ? (int)size : 8, size ? reason : "detached", view->run.name);
    _exit(0);
}

static void exited(struct view *view, const char *home, const char *payload) __attribute__((noreturn));

static void exited(struct view *view, const char *home, const char *payload)
{
    char path[PATH_MAX];
    int code, end = 0;
    sscanf(payload, "{\"exit_code\": %d, \"state\": \"stopped\", \"because\": \"\"}%n", &code, &end);
    bool fits = (size_t)snprintf(path, sizeof path, "%s/runs/%s/disarmed.txt", home, view->run.id) < sizeof path;
    if (!end || payload[end] || !fits || access(path, F_OK) == 0)
        hand_over(view, "ended", payload); /* there is more to say */
    restore_terminal(view);
    _exit(code & 0xFF);
}

static void keep(struct view *view, const unsigned char *data, size_t size)
{
    if (size > sizeof view->held - view->held_size)
        hand_over(view, "lost", "null"); /* no supervisor holds so much */
    memcpy(view->held + view->held_size, data, size);
    view->held_size += size;
}

static void taken(struct view *view, const unsigned char *count, size_t size)
{
    size_t number = size == 4 ? (size_t)count[0] << 24 | (size_t)count[1] << 16 | (size_t)count[2] << 8 | count[3] : 0;
    number = number < view->held_size ? number : view->held_size;
    view->held_size -= number;
    memmove(view->held, view->held + number, view->held_size);
}

static void obey(struct view *view, const char *home, int kind, unsigned char *payload, size_t size)
{
    switch (kind) {
    case STDOUT: write_all(payload, size); break;
    case PAUSED: suspend(view); break;
    case BACKGROUND: step_behind(view); break;
    case HELD: keep(view, payload, size); break;
    case TAKEN: taken(view, payload, size); break;
    case PASTING: view->pasting = size == 1 && payload[0]; break;
    case PONG:
        view->asked = false;
        view->deadline = view->leaving ? view->deadline : 0;
        break;
    case DETACHED: detached(view, (const char *)payload, size);
    case EXITED: exited(view, home, (const char *)payload);
    case FAILED: hand_over(view, "refused", "null");
    case NOT_LENT: hand_over(view, "refused", "null");
    default: break; /* of a newer supervisor, or for others */
    }
}

/* Read frames; return `false` where the connection has ended. */
static bool receive(struct view *view, const char *home)
{
    ssize_t got = recv(view->sock, buffer + buffered, sizeof buffer - 1 - buffered, 0);
    if (got <= 0)
        return got < 0 && (errno == EINTR || errno == EAGAIN);
    buffered += (size_t)got;
    while (buffered >= HEADER) {
        size_t size = (size_t)buffer[1] << 24 | (size_t)buffer[2] << 16 | (size_t)buffer[3] << 8 | buffer[4];
        if (size > MAX_PAYLOAD - 1)
            return false;
        if (buffered < HEADER + size)
            break;
        unsigned char *end = buffer + HEADER + size, next = *end;
        *end = '\0'; /* the payload as a string */
        obey(view, home, buffer[0], buffer + HEADER, size);
        *end = next;
        buffered -= HEADER + size;
        memmove(buffer, end, buffered);
    }
    return true;
}

/* --- waiting --- */

static void signalled(struct view *view)
{
    struct signalfd_siginfo info;
    if (read(view->signals, &info, sizeof info) != sizeof info)
        return;
    switch (info.ssi_signo) {
    case SIGINT: send_frame(view, INTERRUPT, NULL, 0); break;
    case SIGWINCH: send_size(view); break;
    case SIGTSTP: send_frame(view, PAUSE, NULL, 0); break;
    default: leave(view); break;
    }
}

/* The deadline has passed: nobody answers DETACH or PING, or it is time to see whether keys were read. */
static void expired(struct view *view)
{
    struct pollfd keys = {.fd = STDIN_FILENO, .events = POLLIN};
    view->deadline = 0;
    if (view->leaving || (view->asked && poll(&keys, 1, 0) == 1)) {
        tcflush(STDIN_FILENO, TCIFLUSH); /* what nobody has read was not meant for a shell */
        hand_over(view, "silent", "null");
    }
    view->asked = poll(&keys, 1, 0) == 1;
    if (view->asked) {
        send_frame(view, PING, NULL, 0);
        view->deadline = now_ms() + SILENT_MS;
    }
}

static void wait_until_ended(struct view *view, const char *home) __attribute__((noreturn));

static void wait_until_ended(struct view *view, const char *home)
{
    for (;;) {
        struct pollfd waiting[3] = {
            {.fd = view->sock, .events = POLLIN},
            {.fd = view->signals, .events = POLLIN},
            {.fd = view->deadline ? -1 : STDIN_FILENO, .events = POLLIN}, /* a key, at most once a second */
        };
        int64_t left = view->deadline ? view->deadline - now_ms() : -1;
        if (poll(waiting, 3, view->deadline ? (int)(left > 0 ? left : 0) : -1) < 0 && errno != EINTR)
            hand_over(view, "lost", "null");
        if (waiting[1].revents)
            signalled(view);
        if (waiting[0].revents && !receive(view, home))
            hand_over(view, "lost", "null");
        if (waiting[2].revents && !view->deadline)
            view->deadline = now_ms() + UNREAD_MS;
        if (view->deadline && now_ms() >= view->deadline)
            expired(view);
    }
}

/* Return whether the command line and its surroundings are plain; what else there is, Python knows. */
static bool is_plain(int argc, char **argv)
{
    static const char *const meaningful[] = {"_MOAT_COMPLETE", "MOAT_PROFILE", "MOAT_RUN", "MOAT_HANDOVER"};
    for (size_t i = 0; i < sizeof meaningful / sizeof *meaningful; i++)
        if (getenv(meaningful[i]))
            return false;
    if (argc < 2 || argc > 3 || strcmp(argv[1], "attach") != 0)
        return false;
    return argc == 2 || (argv[2][0] != '\0' && argv[2][0] != '-' && !strchr(argv[2], '/'));
}

int main(int argc, char **argv)
{
    static struct view view;
    char home[PATH_MAX], settings[PATH_MAX];
    view.argv = argv;
    if (!is_plain(argc, argv) || !one_terminal() || !home_path(home, sizeof home) ||
        (size_t)snprintf(settings, sizeof settings, "%s/config.yaml", home) >= sizeof settings ||
        access(settings, F_OK) == 0 || !find_run(home, argc == 3 ? argv[2] : NULL, &view.run))
        python(argv);
    view.sock = connect_to(home, view.run.id);
    if (view.sock < 0 || !upgrade(view.sock) || tcgetattr(STDIN_FILENO, &view.saved) != 0)
        python(argv);
    sigset_t handled;
    sigemptyset(&handled);
    const int numbers[] = {SIGINT, SIGTERM, SIGHUP, SIGWINCH, SIGTSTP};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        sigaddset(&handled, numbers[i]);
    sigprocmask(SIG_BLOCK, &handled, &mask_before);
    view.signals = signalfd(-1, &handled, SFD_CLOEXEC);
    take_terminal(&view);
    if (view.signals < 0 || !greet(&view))
        hand_over(&view, "lost", "null");
    wait_until_ended(&view, home);
}
