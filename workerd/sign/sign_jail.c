/*
 * The signer's jail; see sign_jail.h.
 *
 * The filter answers EPERM instead of killing: a library that tries something new then takes its
 * error path, and money is not stuck in a dead signer. Under a sanitizer there is no filter, since
 * its run-time opens files when it reports.
 */
#include "workerd/sign/sign_jail.h"

#include "core/log.h"

#include <errno.h>
#include <grp.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pwd.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined(__x86_64__)
#define SIGN_AUDIT_ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define SIGN_AUDIT_ARCH AUDIT_ARCH_AARCH64
#endif

static void sign_jail_note(const char *step)
{
    log_event(LOG_WARN, "sign.jail", "without", LOG_TEXT(step), "error", LOG_TEXT(strerror(errno)),
              NULL);
}

void sign_jail_memory(void)
{
    struct rlimit none = {0, 0}, all = {RLIM_INFINITY, RLIM_INFINITY}, now;

    if (prctl(PR_SET_DUMPABLE, 0) != 0 || setrlimit(RLIMIT_CORE, &none) != 0) {
        sign_jail_note("core dumps refused");
    }
    if (setrlimit(RLIMIT_MEMLOCK, &all) != 0) {
        errno = 0;
    }
    /* With a limit, MCL_FUTURE would make later allocations fail; keys are locked one by one
     * anyway. */
    if (getrlimit(RLIMIT_MEMLOCK, &now) == 0 && now.rlim_cur == RLIM_INFINITY &&
        mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT) != 0) {
        sign_jail_note("mlockall");
    }
}

void sign_jail_network(const char *user)
{
    /* in a user namespace there is no other user to become */
    bool stays = user == NULL || user[0] == '\0';

    if (unshare(CLONE_NEWNET) != 0 && (!stays || unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0)) {
        sign_jail_note("own network namespace");
    }
}

bool sign_jail_capabilities(void)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {{0}};

    (void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    return syscall(SYS_capset, &header, none) == 0;
}

static bool sign_become(const char *user)
{
    const struct passwd *entry;

    if (user == NULL || user[0] == '\0') {
        return true;
    }
    entry = getpwnam(user);
    if (entry != NULL && geteuid() == entry->pw_uid) {
        return true;
    }
    /* Root can, and so can a service user that was given CAP_SETUID for this alone. */
    if (entry == NULL || setgroups(0, NULL) != 0 || setgid(entry->pw_gid) != 0 ||
        setuid(entry->pw_uid) != 0 || !sign_jail_capabilities() || setuid(0) == 0) {
        log_event(LOG_ERROR, "sign.user", "user", LOG_TEXT(user), "error",
                  LOG_TEXT("cannot become this user"), NULL);
        return false;
    }
    /* Changing the user clears both. */
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    prctl(PR_SET_DUMPABLE, 0);
    return true;
}

#if defined(SIGN_AUDIT_ARCH) && !defined(__SANITIZE_ADDRESS__)
/* Waiting, the channel, memory, time, the log's write(2), randomness, ending. */
static const int sign_calls[] = {
    SYS_read,
    SYS_write,
    SYS_writev,
    SYS_close,
    SYS_recvfrom,
    SYS_recvmsg,
    SYS_sendto,
    SYS_sendmsg,
    SYS_shutdown,
    SYS_epoll_ctl,
    SYS_epoll_pwait,
    SYS_ppoll,
    SYS_eventfd2,
    SYS_fcntl,
    SYS_ioctl,
    SYS_mmap,
    SYS_munmap,
    SYS_mremap,
    SYS_mprotect,
    SYS_madvise,
    SYS_mlock,
    SYS_munlock,
    SYS_brk,
    SYS_futex,
    SYS_clock_gettime,
    SYS_clock_nanosleep,
    SYS_nanosleep,
    SYS_gettimeofday,
    SYS_getrandom,
    SYS_getpid,
    SYS_getppid,
    SYS_gettid,
    SYS_tgkill,
    SYS_rt_sigaction,
    SYS_rt_sigprocmask,
    SYS_rt_sigreturn,
    SYS_sigaltstack,
    SYS_restart_syscall,
    SYS_sched_yield,
    SYS_exit,
    SYS_exit_group,
    SYS_newfstatat,
    SYS_fstat,
    SYS_lseek,
#if defined(__x86_64__)
    SYS_epoll_wait,
    SYS_poll,
    SYS_stat,
    SYS_time,
#endif
};
#define SIGN_CALLS (sizeof(sign_calls) / sizeof(sign_calls[0]))

static void sign_filter(void)
{
    struct sock_filter filter[SIGN_CALLS + 6];
    struct sock_fprog program = {.filter = filter};
    unsigned short at = 0;

    filter[at++] =
        (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch));
    filter[at++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SIGN_AUDIT_ARCH, 1, 0);
    filter[at++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS);
    filter[at++] =
        (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
    for (size_t i = 0; i < SIGN_CALLS; i++) {
        /* To the last line, over the calls that are left and the refusal. */
        filter[at++] = (struct sock_filter)BPF_JUMP(
            BPF_JMP | BPF_JEQ | BPF_K, (unsigned)sign_calls[i], (unsigned char)(SIGN_CALLS - i), 0);
    }
    filter[at++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM);
    filter[at++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    program.len = at;
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0) {
        sign_jail_note("system call filter");
    }
}
#else
static void sign_filter(void)
{
}
#endif

bool sign_jail_enter(const char *user)
{
    if (!sign_become(user)) {
        return false;
    }
    sign_filter();
    return true;
}
