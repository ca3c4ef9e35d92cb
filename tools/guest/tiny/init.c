/* SPDX-License-Identifier: Apache-2.0 */
/* The one process of the tiny test guest. It loads the drivers listed in /modules, says SERAI_TINY_UP on the first
 * serial line, counts there every 100 ms, obeys lines that come in, and powers off at the ACPI power button.
 *
 * Kernel command line: tick=0 counts silently; net=1 asks for an address on eth0 and says NET ADDRESS.
 * Lines in, answers out:
 *   sum [DEV]      SUM crc32 of the first MiB of /dev/DEV (vda), read from the device
 *   write N [DEV]  WROTE N: the first MiB is the 32-bit little-endian words N * 2654435761 + i, durable
 *   count          COUNT n: ticks so far, also with tick=0
 *   echo X         ECHO X
 *   sh COMMAND     its output, then SH status
 *   off, reboot, panic
 * A command that fails says ERROR and why; an unknown one says UNKNOWN.
 *
 * Everything is one poll loop. Output never blocks it: where nobody reads the line, whole ticks are left out. */
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <linux/fs.h>
#include <linux/input.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

enum { AREA = 1 << 20, OUT_SIZE = 8192, LINE_SIZE = 1024, BUTTONS = 8 };

static int tty = -1;
static char out[OUT_SIZE];
static size_t out_len;
static char cmdline[4096];

static void flush_out(void)
{
    while (out_len) {
        ssize_t n = write(tty, out, out_len);
        if (n <= 0)
            return;
        memmove(out, out + n, out_len - (size_t)n);
        out_len -= (size_t)n;
    }
}

/* One line, whole or not at all. */
static void __attribute__((format(printf, 1, 2))) say(const char *fmt, ...)
{
    char line[LINE_SIZE + 64];
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(line, sizeof line - 1, fmt, ap);
    va_end(ap);
    if (n < 0)
        return;
    size_t len = (size_t)n < sizeof line - 1 ? (size_t)n : sizeof line - 2;
    line[len++] = '\n';
    if (out_len + len <= sizeof out) {
        memcpy(out + out_len, line, len);
        out_len += len;
    }
    flush_out();
}

static bool option(const char *want)
{
    size_t len = strlen(want);
    for (const char *p = cmdline; (p = strstr(p, want)); p += len) {
        bool starts = p == cmdline || p[-1] == ' ';
        if (starts && (p[len] == ' ' || p[len] == '\n' || p[len] == 0))
            return true;
    }
    return false;
}

/* Load the modules of one list, in its order. */
static void load_modules(const char *list)
{
    FILE *f = fopen(list, "re");
    if (!f)
        return;
    char name[256];
    while (fscanf(f, "%255s", name) == 1) {
        int fd = open(name, O_RDONLY | O_CLOEXEC);
        if (fd < 0 || (syscall(SYS_finit_module, fd, "", 0) && errno != EEXIST))
            say("ERROR module %s: %m", name);
        if (fd >= 0)
            close(fd);
    }
    fclose(f);
}

static void open_tty(void)
{
    tty = open("/dev/ttyS0", O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
    struct termios t;
    if (tty < 0 || tcgetattr(tty, &t))
        return;
    cfmakeraw(&t);
    t.c_oflag |= OPOST | ONLCR;
    tcsetattr(tty, TCSANOW, &t);
}

static size_t open_buttons(struct pollfd *fds)
{
    size_t n = 0;
    glob_t g;
    if (glob("/dev/input/event*", 0, NULL, &g))
        return 0;
    for (size_t i = 0; i < g.gl_pathc && n < BUTTONS; i++) {
        int fd = open(g.gl_pathv[i], O_RDONLY | O_NONBLOCK | O_CLOEXEC);
        if (fd >= 0)
            fds[n++] = (struct pollfd){ .fd = fd, .events = POLLIN };
    }
    globfree(&g);
    return n;
}

static void end(unsigned how)
{
    flush_out();
    tcdrain(tty);
    sync();
    reboot((int)how);
}

static uint32_t crc32(const uint8_t *p, size_t len)
{
    uint32_t crc = 0xffffffff;
    for (size_t i = 0; i < len; i++) {
        crc ^= p[i];
        for (int k = 0; k < 8; k++)
            crc = crc >> 1 ^ (crc & 1 ? 0xedb88320 : 0);
    }
    return ~crc;
}

static uint8_t area[AREA];

static int open_disk(const char *dev, int flags)
{
    char path[64];
    snprintf(path, sizeof path, "/dev/%.32s", *dev ? dev : "vda");
    int fd = open(path, flags | O_CLOEXEC);
    if (fd < 0)
        say("ERROR %s: %m", path);
    return fd;
}

static void do_sum(const char *dev)
{
    int fd = open_disk(dev, O_RDONLY);
    if (fd < 0)
        return;
    /* Not what the page cache remembers. */
    ioctl(fd, BLKFLSBUF, 0);
    size_t done = 0;
    ssize_t n = 1;
    while (done < AREA && (n = pread(fd, area + done, AREA - done, (off_t)done)) > 0)
        done += (size_t)n;
    if (done < AREA)
        say("ERROR read at %zu: %s", done, n < 0 ? strerror(errno) : "end of the disk");
    else
        say("SUM %08x", crc32(area, AREA));
    close(fd);
}

static void do_write(const char *args)
{
    char *rest;
    unsigned long number = strtoul(args, &rest, 10);
    while (*rest == ' ')
        rest++;
    int fd = open_disk(rest, O_WRONLY);
    if (fd < 0)
        return;
    for (uint32_t i = 0; i < AREA / 4; i++) {
        uint32_t word = (uint32_t)number * 2654435761U + i;
        memcpy(area + i * 4, &word, 4); /* the guest is little-endian */
    }
    size_t done = 0;
    ssize_t n = 1;
    while (done < AREA && (n = pwrite(fd, area + done, AREA - done, (off_t)done)) > 0)
        done += (size_t)n;
    if (done < AREA || fsync(fd))
        say("ERROR write: %m");
    else
        say("WROTE %lu", number);
    close(fd);
}

/* Run a program with the serial line as its output. */
static pid_t start(char *const argv[])
{
    pid_t pid = fork();
    if (pid)
        return pid;
    int fd = open("/dev/ttyS0", O_WRONLY | O_NOCTTY);
    dup2(fd, 1);
    dup2(fd, 2);
    execv("/bin/busybox", argv);
    _exit(127);
}

static void do_sh(char *command)
{
    flush_out();
    pid_t pid = start((char *[]){ "sh", "-c", command, NULL });
    int status = 0;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    say("SH %d", WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
}

static void do_panic(void)
{
    flush_out();
    tcdrain(tty);
    int fd = open("/proc/sysrq-trigger", O_WRONLY | O_CLOEXEC);
    if (fd < 0 || write(fd, "c", 1) != 1)
        say("ERROR sysrq: %m");
}

static void obey(char *line, uint64_t count)
{
    char *args = strchr(line, ' ');
    if (args)
        *args++ = 0;
    else
        args = line + strlen(line);
    if (!strcmp(line, "sum"))
        do_sum(args);
    else if (!strcmp(line, "write"))
        do_write(args);
    else if (!strcmp(line, "count"))
        say("COUNT %llu", (unsigned long long)count);
    else if (!strcmp(line, "echo"))
        say("ECHO %s", args);
    else if (!strcmp(line, "sh"))
        do_sh(args);
    else if (!strcmp(line, "off"))
        end(RB_POWER_OFF);
    else if (!strcmp(line, "reboot"))
        end(RB_AUTOBOOT);
    else if (!strcmp(line, "panic"))
        do_panic();
    else if (*line)
        say("UNKNOWN %s", line);
}

static void read_lines(uint64_t count)
{
    static char line[LINE_SIZE];
    static size_t len;
    char buf[256];
    ssize_t n = read(tty, buf, sizeof buf);
    for (ssize_t i = 0; i < n; i++) {
        if (buf[i] == '\n' || buf[i] == '\r') {
            line[len] = 0;
            len = 0;
            obey(line, count);
        } else if (len < sizeof line - 1) {
            line[len++] = buf[i];
        }
    }
}

static void read_button(int fd)
{
    struct input_event e;
    while (read(fd, &e, sizeof e) == (ssize_t)sizeof e)
        if (e.type == EV_KEY && e.code == KEY_POWER && e.value == 1) {
            say("BUTTON");
            end(RB_POWER_OFF);
        }
}

static void set_up(void)
{
    mount("proc", "/proc", "proc", 0, NULL);
    mount("sys", "/sys", "sysfs", 0, NULL);
    mount("dev", "/dev", "devtmpfs", 0, NULL);
    int fd = open("/proc/cmdline", O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
        ssize_t n = read(fd, cmdline, sizeof cmdline - 1);
        cmdline[n > 0 ? n : 0] = 0;
        close(fd);
    }
    open_tty();
    load_modules("/modules/first");
}

int main(void)
{
    set_up();
    struct pollfd fds[2 + BUTTONS];
    size_t nfds = 2 + open_buttons(fds + 2);
    int timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
    struct itimerspec every = { { 0, 100000000 }, { 0, 100000000 } };
    timerfd_settime(timer, 0, &every, NULL);
    say("SERAI_TINY_UP");
    load_modules("/modules/then");
    if (option("net=1"))
        start((char *[]){ "sh", "/net.sh", NULL });
    bool silent = option("tick=0");
    uint64_t count = 0;
    for (;;) {
        fds[0] = (struct pollfd){ .fd = timer, .events = POLLIN };
        fds[1] = (struct pollfd){ .fd = tty,
                                  .events = (short)(POLLIN | (out_len ? POLLOUT : 0)) };
        if (poll(fds, nfds, -1) < 0)
            continue;
        uint64_t passed;
        if (fds[0].revents && read(timer, &passed, sizeof passed) == sizeof passed) {
            count += passed;
            if (!silent && !out_len)
                say("TICK %llu", (unsigned long long)count);
        }
        if (fds[1].revents & POLLOUT)
            flush_out();
        if (fds[1].revents & POLLIN)
            read_lines(count);
        for (size_t i = 2; i < nfds; i++)
            if (fds[i].revents)
                read_button(fds[i].fd);
    }
}
