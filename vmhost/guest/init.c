/* SPDX-License-Identifier: Apache-2.0
 *
 * PID 1 of a guest: loads modules, configures the network, starts each program as a user of its own, and
 * reports over the virtio-serial port org.dipronn.0 what happens to them. It never powers off; if it cannot
 * do its work it exits, which panics the kernel, which ends the machine: the host sees that at once.
 *
 * /etc/dipronn/config, one item a line, written by vmhost/vm/image.py:
 *   module FILE        in /lib/modules, in loading order
 *   bus NAME           the same for every FILE in /etc/dipronn/modules/NAME: in a whole machine, whose
 *                      kernel the host does not know
 *   mtu BYTES
 *   address ADDRESS    IPv4 or IPv6; becomes a /32 or /128
 *   gateway ADDRESS    on-link; becomes the default route of its family
 *   program NAME UID   /programs/NAME/run, or what /etc/dipronn/command/NAME says to a shell, with the
 *                      environment /etc/dipronn/environ/NAME (NUL-terminated strings)
 *
 * The port carries JSON lines {"event":"up"}, {"event":"started","program":P},
 * {"event":"exit","program":P,"status":S}. Any byte from the host asks for all of it again, so a host that
 * was away misses nothing.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <dirent.h>
#include <grp.h>
#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define PORT_NAME "org.dipronn.0"
#define MAX_PROGRAMS 64
#define MAX_GATEWAYS 4
#define PORT_RETRY_MS 100

struct address {
    int family;
    int length;
    unsigned char bytes[16];
};

struct program {
    char name[128];
    uid_t uid;
    pid_t pid;
    bool exited;
    int status;
    int told; /* 0 nothing, 1 its start, 2 its exit */
};

static struct program programs[MAX_PROGRAMS];
static int program_count;
static struct address gateways[MAX_GATEWAYS];
static int gateway_count;

static void say(const char *format, ...) {
    va_list args;
    va_start(args, format);
    dprintf(2, "dipronn: ");
    vdprintf(2, format, args);
    dprintf(2, "\n");
    va_end(args);
}

static void die(const char *what) {
    say("%s: %s", what, strerror(errno));
    exit(1);
}

static void set_sysctl(const char *path, const char *value) {
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0 || write(fd, value, strlen(value)) < 0) say("%s: %s", path, strerror(errno));
    if (fd >= 0) close(fd);
}

static void load_module(const char *file) {
    char path[256];
    snprintf(path, sizeof path, "/lib/modules/%s", file);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || (syscall(SYS_finit_module, fd, "", 0) && errno != EEXIST)) die(path);
    close(fd);
}

static void load_modules(const char *bus) {
    char path[256], file[128];
    snprintf(path, sizeof path, "/etc/dipronn/modules/%s", bus);
    FILE *list = fopen(path, "re");
    if (!list) die(path);
    while (fscanf(list, "%127s", file) == 1)
        load_module(file);
    fclose(list);
}

/* ---- network: plain rtnetlink, one request and its acknowledgement at a time ---- */

static int netlink_socket = -1;
static struct {
    struct nlmsghdr header;
    char body[256];
} request;

static void request_begin(int type, int flags, const void *body, size_t length) {
    memset(&request, 0, sizeof request);
    request.header.nlmsg_type = type;
    request.header.nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | flags;
    request.header.nlmsg_len = NLMSG_LENGTH(length);
    memcpy(NLMSG_DATA(&request.header), body, length);
}

static void request_attribute(int type, const void *data, size_t length) {
    struct rtattr *attribute = (void *)((char *)&request + NLMSG_ALIGN(request.header.nlmsg_len));
    attribute->rta_type = type;
    attribute->rta_len = RTA_LENGTH(length);
    memcpy(RTA_DATA(attribute), data, length);
    request.header.nlmsg_len = NLMSG_ALIGN(request.header.nlmsg_len) + RTA_ALIGN(attribute->rta_len);
}

static void request_do(const char *what) {
    struct {
        struct nlmsghdr header;
        struct nlmsgerr error;
        char rest[512];
    } answer;
    if (send(netlink_socket, &request, request.header.nlmsg_len, 0) < 0 ||
        recv(netlink_socket, &answer, sizeof answer, 0) < 0)
        die(what);
    errno = -answer.error.error;
    if (errno && errno != EEXIST) die(what);
}

static void link_up(const char *name, unsigned int mtu) {
    struct ifinfomsg link = {.ifi_index = if_nametoindex(name), .ifi_flags = IFF_UP, .ifi_change = IFF_UP};
    request_begin(RTM_NEWLINK, 0, &link, sizeof link);
    if (mtu) request_attribute(IFLA_MTU, &mtu, sizeof mtu);
    request_do("link up");
}

static void add_address(int index, const struct address *a) {
    struct ifaddrmsg message = {.ifa_family = a->family,
                                .ifa_prefixlen = a->length * 8,
                                .ifa_flags = IFA_F_NODAD,
                                .ifa_index = index};
    request_begin(RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, &message, sizeof message);
    request_attribute(IFA_LOCAL, a->bytes, a->length);
    request_attribute(IFA_ADDRESS, a->bytes, a->length);
    request_do("address");
}

static void add_route(int index, const struct address *gateway, bool is_default) {
    struct rtmsg message = {.rtm_family = gateway->family,
                            .rtm_table = RT_TABLE_MAIN,
                            .rtm_protocol = RTPROT_STATIC,
                            .rtm_scope = is_default ? RT_SCOPE_UNIVERSE : RT_SCOPE_LINK,
                            .rtm_type = RTN_UNICAST,
                            .rtm_dst_len = is_default ? 0 : gateway->length * 8};
    request_begin(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, &message, sizeof message);
    request_attribute(is_default ? RTA_GATEWAY : RTA_DST, gateway->bytes, gateway->length);
    request_attribute(RTA_OIF, &index, sizeof index);
    request_do("route");
}

static struct address parse_address(const char *text) {
    struct address a = {.family = strchr(text, ':') ? AF_INET6 : AF_INET};
    a.length = a.family == AF_INET6 ? 16 : 4;
    if (inet_pton(a.family, text, a.bytes) != 1) {
        errno = EINVAL;
        die(text);
    }
    return a;
}

/* The interface: there once the driver's module is loaded; wait a little for a slow bus. */
static int bring_up_network(unsigned int mtu) {
    int index = 0;
    for (int i = 0; i < 200 && !(index = if_nametoindex("eth0")); i++)
        usleep(10000);
    if (!index) die("eth0");
    /* Addresses are allotted by the node: nobody else on the link, no router to ask. */
    set_sysctl("/proc/sys/net/ipv6/conf/eth0/accept_dad", "0");
    set_sysctl("/proc/sys/net/ipv6/conf/eth0/accept_ra", "0");
    set_sysctl("/proc/sys/net/ipv6/conf/eth0/router_solicitations", "0");
    link_up("eth0", mtu);
    return index;
}

/* ---- programs ---- */

static char **read_environment(const char *program) {
    static char text[65536];
    static char *variables[1024];
    char path[256];
    snprintf(path, sizeof path, "/etc/dipronn/environ/%s", program);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t size = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    if (size < 0) die(path);
    close(fd);
    int count = 0;
    for (char *at = text; at < text + size && count < 1023; at += strlen(at) + 1)
        variables[count++] = at;
    return variables;
}

/* What the session says to a shell of this machine; NULL if the program has a folder with its /run. */
static char *read_command(const char *program) {
    static char text[32768];
    char path[256];
    snprintf(path, sizeof path, "/etc/dipronn/command/%s", program);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t size = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    if (fd >= 0) close(fd);
    if (size < 0) return NULL;
    text[size] = 0;
    return text;
}

static void start_program(struct program *program) {
    program->pid = fork();
    if (program->pid < 0) die("fork");
    if (program->pid) return;
    char **environment = read_environment(program->name);
    char folder[160];
    snprintf(folder, sizeof folder, "/programs/%s", program->name);
    char *command = read_command(program->name);
    if (command) snprintf(folder, sizeof folder, "/");
    char *arguments[] = {command ? "/bin/sh" : "./run", command ? "-c" : NULL, command, NULL};
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    setsid();
    int null = open("/dev/null", O_RDONLY);
    dup2(null, 0);
    if (chdir(folder) || setgroups(0, NULL) || setgid(program->uid) || setuid(program->uid)) die(folder);
    execve(arguments[0], arguments, environment);
    say("program %s: %s: %s", program->name, arguments[0], strerror(errno));
    _exit(127);
}

static void reap(void) {
    int status;
    pid_t pid;
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
        for (int i = 0; i < program_count; i++)
            if (programs[i].pid == pid && !programs[i].exited) {
                programs[i].exited = true;
                programs[i].status = WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
            }
}

/* ---- reports ---- */

static bool told_up;

static int open_port(void) {
    DIR *ports = opendir("/sys/class/virtio-ports");
    struct dirent *entry;
    int fd = -1;
    while (ports && fd < 0 && (entry = readdir(ports))) {
        char path[300], name[64] = "";
        snprintf(path, sizeof path, "/sys/class/virtio-ports/%s/name", entry->d_name);
        FILE *file = fopen(path, "re");
        if (!file) continue;
        if (fgets(name, sizeof name, file) && !strncmp(name, PORT_NAME "\n", sizeof PORT_NAME)) {
            snprintf(path, sizeof path, "/dev/%s", entry->d_name);
            fd = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
        }
        fclose(file);
    }
    if (ports) closedir(ports);
    return fd;
}

/* Short lines go whole or not at all: the port takes a buffer of up to 32 KiB at a time. */
static bool tell(int port, const char *format, ...) {
    char line[256];
    va_list args;
    va_start(args, format);
    int length = vsnprintf(line, sizeof line, format, args);
    va_end(args);
    return write(port, line, length) == length;
}

/* Tells the host what it has not heard yet; false if the port would take no more. */
static bool report(int port) {
    if (!told_up && !(told_up = tell(port, "{\"event\":\"up\"}\n"))) return false;
    for (struct program *p = programs; p < programs + program_count; p++) {
        if (p->told < 1 && p->pid) {
            if (!tell(port, "{\"event\":\"started\",\"program\":\"%s\"}\n", p->name)) return false;
            p->told = 1;
        }
        if (p->told < 2 && p->exited) {
            if (!tell(port, "{\"event\":\"exit\",\"program\":\"%s\",\"status\":%d}\n", p->name, p->status))
                return false;
            p->told = 2;
        }
    }
    return true;
}

static void tell_all_again(void) {
    told_up = false;
    for (int i = 0; i < program_count; i++)
        programs[i].told = 0;
}

static void serve(int signals, int port) {
    bool connected = port >= 0, all_told = false;
    for (;;) {
        struct pollfd polled[] = {
            {.fd = signals, .events = POLLIN},
            /* A port without a host reports POLLHUP for ever: look again at intervals instead. */
            {.fd = connected ? port : -1, .events = POLLIN | (all_told ? 0 : POLLOUT)},
        };
        if (poll(polled, 2, connected ? -1 : PORT_RETRY_MS) < 0 && errno != EINTR) die("poll");
        if (polled[0].revents) {
            struct signalfd_siginfo info;
            while (read(signals, &info, sizeof info) > 0)
                ;
            reap();
            all_told = false;
        }
        if (port < 0 && (port = open_port()) < 0) continue;
        if (connected && (polled[1].revents & POLLHUP)) {
            connected = false;
            continue;
        }
        char asked[64];
        bool again = false;
        while (connected && read(port, asked, sizeof asked) > 0)
            again = true;
        if (again) tell_all_again();
        connected = true; /* if not, the next poll says so */
        all_told = report(port);
    }
}

int main(void) {
    umask(022);
    mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, "");
    mount("sysfs", "/sys", "sysfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "");
    mount("devtmpfs", "/dev", "devtmpfs", MS_NOSUID, "");

    sigset_t child;
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    sigprocmask(SIG_BLOCK, &child, NULL);
    int signals = signalfd(-1, &child, SFD_NONBLOCK | SFD_CLOEXEC);
    netlink_socket = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
    FILE *config = fopen("/etc/dipronn/config", "re");
    if (signals < 0 || netlink_socket < 0 || !config) die("/etc/dipronn/config");
    link_up("lo", 0);
    /* A program has its addresses to itself, so every port of them is its own. */
    set_sysctl("/proc/sys/net/ipv4/ip_unprivileged_port_start", "0");
    /* Media come in bursts, and a small guest is slow to pick them up. */
    set_sysctl("/proc/sys/net/core/rmem_max", "4194304");
    set_sysctl("/proc/sys/net/core/rmem_default", "1048576");

    char key[16], value[128];
    unsigned int mtu = 0;
    int index = 0;
    while (fscanf(config, "%15s %127s", key, value) == 2) {
        if (!strcmp(key, "module")) {
            load_module(value);
        } else if (!strcmp(key, "bus")) {
            load_modules(value);
        } else if (!strcmp(key, "mtu")) {
            mtu = atoi(value);
        } else if (!strcmp(key, "address")) {
            struct address a = parse_address(value);
            if (!index) index = bring_up_network(mtu);
            add_address(index, &a);
        } else if (!strcmp(key, "gateway") && gateway_count < MAX_GATEWAYS) {
            gateways[gateway_count++] = parse_address(value);
        } else if (!strcmp(key, "program") && program_count < MAX_PROGRAMS) {
            struct program *p = &programs[program_count++];
            snprintf(p->name, sizeof p->name, "%s", value);
            if (fscanf(config, "%u", &p->uid) != 1) die("program");
        } else {
            errno = EINVAL;
            die(key);
        }
    }
    fclose(config);
    for (int i = 0; i < gateway_count && index; i++) {
        add_route(index, &gateways[i], false);
        add_route(index, &gateways[i], true);
    }
    for (int i = 0; i < program_count; i++)
        start_program(&programs[i]);
    serve(signals, open_port());
}
