#include "fs/mount.h"
#include "base/birth.h"
#include "base/buf.h"
#include "base/feature.h"
#include "base/forbid.h"
#include "fs/child.h"
#include "fs/fs.h"
#include "fs/mounted.h"
#include "fs/point.h"
#include "fs/publish.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef MNT_DETACH
#define MNT_DETACH 2 /* <sys/mount.h> and <linux/mount.h> cannot always be had together */
#endif

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

/* By which proffs list, and who takes it away, know whose tree it is. */
static const char *source_name(char out[32])
{
	snprintf(out, 32, "proffs-%d", (int)getpid());
	return out;
}

/* ---- with privilege ---- */

/* Never the one without the other: it would let everybody do everything. */
static const char *const others[] = {"default_permissions", "allow_other"};

static int configure(int fs, const struct pf_mount *m)
{
	char fd[16], uid[16], gid[16], source[32];
	const char *const options[][2] = {
	    {"source", source},
	    {"subtype", "proffs"},
	    {"fd", fd},
	    {"rootmode", "40000"},
	    {"user_id", uid},
	    {"group_id", gid},
	};

	source_name(source);
	snprintf(fd, sizeof(fd), "%d", m->fuse_fd);
	snprintf(uid, sizeof(uid), "%u", (unsigned)geteuid());
	snprintf(gid, sizeof(gid), "%u", (unsigned)getegid());
	for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++)
		if (syscall(SYS_fsconfig, fs, FSCONFIG_SET_STRING, options[i][0], options[i][1], 0))
			return -errno;
	for (size_t i = 0; m->allow_other && i < PF_COUNT(others); i++)
		if (syscall(SYS_fsconfig, fs, FSCONFIG_SET_FLAG, others[i], NULL, 0))
			return -errno;
	if (syscall(SYS_fsconfig, fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0))
		return -errno;
	return 0;
}

/* A new tree attached nowhere: its root, or -errno. */
static int make_tree(const struct pf_mount *m)
{
	int fs = (int)syscall(SYS_fsopen, "fuse", FSOPEN_CLOEXEC);
	int rc, root = -1;

	if (fs < 0)
		return -errno;
	rc = configure(fs, m);
	if (rc == 0) {
		root = (int)syscall(SYS_fsmount, fs, FSMOUNT_CLOEXEC,
		    MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC | MOUNT_ATTR_NOATIME);
		rc = root < 0 ? -errno : root;
	}
	close(fs);
	return rc;
}

/* 0; -EPERM, -EACCES: try the helper. */
static int mount_ourselves(struct pf_mount *m, int point)
{
	int rc;

	m->fuse_fd = open("/dev/fuse", O_RDWR | O_CLOEXEC | O_NONBLOCK);
	if (m->fuse_fd < 0)
		return -errno;
	rc = make_tree(m);
	if (rc >= 0) {
		m->root_fd = rc;
		rc = point < 0 ? 0
			       : (int)syscall(SYS_move_mount, m->root_fd, "", point, "",
				     MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH);
		rc = rc < 0 ? -errno : 0;
	}
	if (rc < 0) {
		close_fd(&m->root_fd);
		close_fd(&m->fuse_fd);
	}
	return rc;
}

/* ---- through fusermount3 ---- */

static int receive_fd(int from)
{
	union {
		struct cmsghdr header;
		char room[CMSG_SPACE(sizeof(int))];
	} control;
	char byte;
	struct iovec data = {&byte, 1};
	struct msghdr message = {.msg_iov = &data,
	    .msg_iovlen = 1,
	    .msg_control = &control,
	    .msg_controllen = sizeof(control)};
	struct cmsghdr *header;
	int fd;

	if (recvmsg(from, &message, MSG_CMSG_CLOEXEC) <= 0)
		return -EPERM;
	header = CMSG_FIRSTHDR(&message);
	if (!header || header->cmsg_type != SCM_RIGHTS)
		return -EPERM;
	memcpy(&fd, CMSG_DATA(header), sizeof(fd));
	return fd;
}

static int run_fusermount(const char *const *argv, int socket, int directory, int said)
{
	static const char *const paths[] = {
	    "/usr/bin/fusermount3", "/bin/fusermount3", "/usr/local/bin/fusermount3", NULL};
	static const char *const environment[] = {
	    "PATH=/usr/bin:/bin:/usr/sbin:/sbin", "_FUSE_COMMFD=3", NULL};
	struct pf_command command = {
	    .paths = paths,
	    .argv = argv,
	    .envp = environment,
	    .fds = {socket},
	    .fd_count = socket >= 0,
	    .directory = directory,
	    .said = said,
	};

	return pf_child_run(&command);
}

/* Why there is no tree, in fusermount3's words. Outlives the tree that was not made: `status` of the
 * agent has it. Written by the one thread that mounts. */
static char helper_said[160];

/* The first line that can be had of `from`, in `to`; anything but text is left out. */
static void read_line(int from, char *to, size_t room)
{
	ssize_t got = read(from, to, room - 1);
	char *end = to;

	for (ssize_t i = 0; i < got && to[i] != '\n'; i++)
		if (to[i] >= ' ' && to[i] <= '~')
			*end++ = to[i];
	*end = '\0';
}

/* fusermount3 mounts at its own working directory, which we have pinned and checked. */
static int mount_by_helper(struct pf_mount *m, int point)
{
	char options[128], source[32];
	const char *argv[] = {"fusermount3", "-o", options, "--", ".", NULL};
	int pair[2], said[2];
	int rc;

	snprintf(options, sizeof(options),
	    "rw,nosuid,nodev,noexec,noatime,fsname=%s,subtype=proffs%s", source_name(source),
	    m->allow_other ? ",default_permissions,allow_other" : "");
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	helper_said[0] = '\0';
	if (pipe2(said, O_CLOEXEC | O_NONBLOCK) < 0)
		said[0] = said[1] = 0;
	rc = run_fusermount(argv, pair[1], point, said[1]);
	close(pair[1]);
	if (rc == 0)
		rc = receive_fd(pair[0]);
	else if (rc > 0)
		rc = -EPERM;
	close(pair[0]);
	if (said[0]) {
		if (rc < 0)
			read_line(said[0], helper_said, sizeof(helper_said));
		close(said[0]);
		close(said[1]);
	}
	if (rc < 0)
		return rc;
	m->fuse_fd = rc;
	m->helped = true;
	fcntl(m->fuse_fd, F_SETFL, fcntl(m->fuse_fd, F_GETFL) | O_NONBLOCK);
	return 0;
}

/* It looks the mount up there, and does nothing without. */
static bool helper_can_unmount(void)
{
	return access("/etc/mtab", R_OK) == 0;
}

static int unmount_by_helper(const char *path)
{
	const char *argv[] = {"fusermount3", "-u", "-z", "--", path, NULL};
	int rc = run_fusermount(argv, -1, -1, 0);

	return rc > 0 ? -EPERM : rc;
}

int pf_mount_detach(int root_fd, const char *path)
{
	char link[64];

	if (pf_is_forbidden(PF_FORBIDDEN_MOUNT))
		return -EPERM; /* the reaper will do it */
	snprintf(link, sizeof(link), "/proc/thread-self/fd/%d", root_fd);
	if (umount2(link, MNT_DETACH) == 0)
		return 0;
	return errno == EPERM ? unmount_by_helper(path) : -errno;
}

/* ---- the reaper ---- */

/* `answer`: where it says whether it has made the directory; -1: that is there already. */
static int run_reaper(struct pf_mount *m, const char *reaper, int alive, int pidfd, int answer)
{
	const char *const paths[] = {reaper, NULL};
	bool link = m->link_fd >= 0;
	char source[32];
	const char *const process = pidfd < 0 ? "-1" : "4";
	const char *argv_mount[] = {
	    "proffs-reaper", "3", process, "mount", m->path, source, answer < 0 ? "-1" : "5", NULL};
	const char *argv_link[] = {
	    "proffs-reaper", "3", process, "link", "5", m->link_name, m->link_target, NULL};
	static const char *const environment[] = {"PATH=/usr/bin:/bin:/usr/sbin:/sbin", NULL};
	struct pf_command command = {
	    .paths = paths,
	    .argv = link ? argv_link : argv_mount,
	    .envp = environment,
	    .fds = {alive, pidfd < 0 ? alive : pidfd, link ? m->link_fd : answer},
	    .fd_count = link || answer >= 0 ? 3 : 2,
	    .directory = -1,
	    .detach = true,
	};

	source_name(source);
	return pf_child_run(&command);
}

static int start_reaper(struct pf_mount *m, const char *reaper, int answer)
{
	int pidfd, ends[2];
	int rc;

	if (!reaper)
		return -ENOENT;
	if (pf_birth_takes_orphans())
		return -ECHILD;
	if (pipe2(ends, O_CLOEXEC) < 0)
		return -errno;
	fcntl(ends[1], F_SETFL, O_NONBLOCK); /* a reaper that does not listen holds nobody up */
	pidfd = (int)syscall(SYS_pidfd_open, getpid(), 0);
	rc = run_reaper(m, reaper, ends[0], pidfd, answer);
	close(ends[0]);
	close_fd(&pidfd);
	m->alive_fd = ends[1];
	if (rc != 0)
		close_fd(&m->alive_fd);
	return rc;
}

/* The reaper makes m->path, so that there is no moment at which it is made and nobody would take it
 * away. 1: made; 0: there is one by now; -errno; -EPIPE: it does not answer. */
static int have_reaper_make_it(struct pf_mount *m, const char *reaper)
{
	int made, ends[2];
	int rc;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return -EPIPE;
	rc = start_reaper(m, reaper, ends[1]);
	close(ends[1]);
	if (rc != 0 || read(ends[0], &made, sizeof(made)) != (ssize_t)sizeof(made))
		made = -EPIPE;
	close(ends[0]);
	return made;
}

/* What became of it: the tree is there without it, too; status says what is missing. */
static void report_reaper(const struct pf_mount *m, const char *reaper)
{
	if (!reaper)
		pf_feature_set(PF_FEATURE_REAPER, PF_FEATURE_NONE,
		    "not installed: the tree stays as a corpse if the process is killed");
	else if (m->alive_fd < 0 && pf_birth_takes_orphans())
		pf_feature_set(PF_FEATURE_REAPER, PF_FEATURE_NONE,
		    "the program takes in orphans (process 1, a subreaper), so it would be its child: the "
		    "tree stays as a corpse if the process is killed");
	else if (m->alive_fd < 0)
		pf_feature_set(PF_FEATURE_REAPER, PF_FEATURE_NONE,
		    "could not be started: the tree stays as a corpse if the process is killed");
	else if (m->helped && m->number >= 0 && !helper_can_unmount())
		pf_feature_set(PF_FEATURE_REAPER, PF_FEATURE_NONE,
		    "fusermount3 cannot unmount without /etc/mtab: the tree stays as a corpse "
		    "(ln -s /proc/self/mounts /etc/mtab)");
	else
		pf_feature_set(PF_FEATURE_REAPER, PF_FEATURE_OK, NULL);
}

/* The number of the mount, or -1: there is none; of a detached tree, any. A reaper that is gone needs no
 * telling: SIGPIPE is blocked here. */
static void tell_reaper(const struct pf_mount *m)
{
	ssize_t told = m->alive_fd < 0 ? 0 : write(m->alive_fd, &m->number, sizeof(m->number));

	(void)told;
}

void pf_mount_remind(const struct pf_mount *m)
{
	tell_reaper(m);
}

/* ---- both ---- */

static const char *explain(int rc)
{
	if (helper_said[0])
		return helper_said;
	switch (rc) {
	case -ENOENT:
	case -ENODEV:
	case -ENXIO:
		return "there is no /dev/fuse, or no fusermount3";
	case -EPERM:
	case -EACCES:
		return "mounting is not permitted here: neither directly nor through fusermount3";
	default:
		return "the kernel refused to mount the tree";
	}
}

/* At `point`, or nowhere if that is -1 and we may; -EPERM and its like: not without the helper. */
static int mount_at(struct pf_mount *m, int point, const char **why)
{
	int rc = mount_ourselves(m, point);

	if (rc < 0 && point >= 0 && geteuid() != 0)
		rc = mount_by_helper(m, point);
	if (rc < 0)
		*why = explain(rc);
	return rc;
}

/* What we made goes, unless somebody has put something in. */
static void remove_directory(const struct pf_mount *m)
{
	if (m->made)
		rmdir(m->path);
}

static int open_root(struct pf_mount *m)
{
	if (m->root_fd < 0)
		m->root_fd = open(m->path, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return m->root_fd < 0 ? -errno : 0;
}

/* By number from here on: a descriptor would keep the user's own umount from working. */
static int know_mount(struct pf_mount *m)
{
	int rc = open_root(m);

	if (rc < 0)
		return rc;
	m->number = pf_mounted_number(m->root_fd);
	return m->number < 0 ? -EMFILE : 0;
}

static void undo_mount(struct pf_mount *m)
{
	if (m->root_fd >= 0)
		pf_mount_detach(m->root_fd, m->path);
	else if (m->helped)
		unmount_by_helper(m->path);
	close_fd(&m->root_fd);
}

/* 0 or -errno. m->made if it is ours. */
static int make_directory(
    struct pf_mount *m, const char *where, const char *reaper, const char **why)
{
	int made, rc = pf_point_plan(where, m->path, sizeof(m->path), why);

	if (rc < 0)
		return rc;
	made = have_reaper_make_it(m, reaper);
	if (made == -EPIPE) { /* without it, as well as we can */
		close_fd(&m->alive_fd);
		made = mkdir(m->path, 0700) == 0 ? 1 : errno == EEXIST ? 0 : -errno;
	}
	m->made = made == 1;
	if (made < 0)
		*why = "the mount point cannot be created";
	return made < 0 ? made : 0;
}

static int open_point(struct pf_mount *m, const char *where, const char *reaper,
    struct pf_point *point, const char **why)
{
	int rc = pf_point_open(where, point, why);

	if (rc == -ENOENT) {
		rc = make_directory(m, where, reaper, why);
		return rc < 0 ? rc : pf_point_open(where, point, why);
	}
	if (rc == 0) {
		strcpy(m->path, point->path);
		start_reaper(m, reaper, -1); /* before there is anything to reap, too */
	}
	return rc;
}

static int attach(struct pf_mount *m, const char *where, const char *reaper, const char **why)
{
	struct pf_point point;
	int rc;

	m->made = false;
	rc = open_point(m, where, reaper, &point, why);
	if (rc < 0)
		goto fail;
	rc = mount_at(m, point.fd, why);
	close(point.fd);
	if (rc == 0) {
		rc = know_mount(m);
		if (rc < 0) {
			*why = "the new mount cannot be looked at";
			undo_mount(m);
		}
	}
	if (rc < 0)
		goto fail;
	tell_reaper(m);
	close_fd(&m->root_fd);
	report_reaper(m, reaper);
	return 0;
fail:
	/* What could not be undone either the reaper looks for, unless it is told that there is none. */
	if (m->fuse_fd < 0)
		tell_reaper(m);
	close_fd(&m->fuse_fd);
	close_fd(&m->alive_fd);
	remove_directory(m);
	return rc;
}

/* The directory may go between our look and our mount: the tree of a program that was killed at the
 * same place a moment ago is being taken away by its reaper. */
static int make_attached(
    struct pf_mount *m, const char *where, const char *reaper, const char **why)
{
	int rc = -ENOENT;

	for (int tries = 0; tries < 4 && rc == -ENOENT && m->number < 0; tries++)
		rc = attach(m, where, reaper, why);
	return rc;
}

/* An ordinary user cannot have a mount that is attached nowhere, but can take the name away from
 * one that was attached for a moment in a directory nobody else can enter. */
static int make_loose_by_helper(struct pf_mount *m, const char **why)
{
	int point, rc;

	if (!helper_can_unmount()) {
		*why = "fusermount3 cannot detach a tree here: there is no /etc/mtab "
		       "(ln -s /proc/self/mounts /etc/mtab)";
		return -EOPNOTSUPP;
	}
	point = pf_publish_private_dir(m->link_fd, m->path, sizeof(m->path));
	if (point < 0) {
		*why = "no private directory for mounting";
		return point;
	}
	rc = mount_by_helper(m, point);
	close(point);
	if (rc == 0)
		rc = open_root(m);
	if (rc == 0)
		rc = unmount_by_helper(m->path);
	rmdir(m->path);
	if (rc < 0)
		*why = explain(rc);
	return rc;
}

static int make_detached(struct pf_mount *m, const char *reaper, const char **why)
{
	int rc = pf_publish_open(&m->link_fd, m->path, sizeof(m->path), why);
	char directory[PATH_MAX];

	if (rc < 0)
		return rc;
	snprintf(directory, sizeof(directory), "%s", m->path);
	rc = mount_ourselves(m, -1);
	if (rc < 0)
		*why = explain(rc);
	if (rc < 0 && geteuid() != 0)
		rc = make_loose_by_helper(m, why);
	if (rc < 0)
		return rc;
	snprintf(m->link_name, sizeof(m->link_name), "%d", (int)getpid());
	snprintf(m->link_target, sizeof(m->link_target), "/proc/%d/task/%d/fd/%d", (int)getpid(),
	    (int)gettid(), m->root_fd);
	snprintf(m->path, sizeof(m->path), "%.4000s/%s", directory, m->link_name);
	start_reaper(m, reaper, -1);
	rc = pf_publish_link(m->link_fd, m->link_name, m->link_target);
	if (rc < 0) {
		*why = "the tree's link could not be made";
		close_fd(&m->alive_fd);
		return rc;
	}
	report_reaper(m, reaper);
	return 0;
}

int pf_mount_make(struct pf_mount *m, const struct pf_fs_options *options, const char **why)
{
	int rc;

	*m = (struct pf_mount){.fuse_fd = -1,
	    .root_fd = -1,
	    .link_fd = -1,
	    .alive_fd = -1,
	    .number = -1,
	    .allow_other = options->allow_other};
	if (pf_is_forbidden(PF_FORBIDDEN_MOUNT | PF_FORBIDDEN_SPAWN)) {
		*why = "a seccomp filter of the program forbids to mount it";
		return -EPERM;
	}
	rc = options->mount ? make_attached(m, options->mount, options->reaper, why)
			    : make_detached(m, options->reaper, why);
	if (rc < 0) {
		if (m->root_fd >= 0 || m->number >= 0)
			pf_mount_remove(m);
		close_fd(&m->fuse_fd);
		close_fd(&m->link_fd);
	}
	return rc;
}

static void detach_by_number(struct pf_mount *m)
{
	char path[PATH_MAX], source[32];
	int root = pf_mounted_open(m->number, source_name(source), path, sizeof(path));

	if (root < 0)
		return; /* somebody has done it already */
	pf_mount_detach(root, path);
	close(root);
}

void pf_mount_remove(struct pf_mount *m)
{
	if (m->link_fd >= 0)
		pf_publish_unlink(m->link_fd, m->link_name, m->link_target);
	else if (m->root_fd >= 0)
		pf_mount_detach(m->root_fd, m->path);
	else {
		detach_by_number(m);
		remove_directory(m);
	}
	close_fd(&m->link_fd);
	close_fd(&m->root_fd);
	close_fd(&m->alive_fd);
}
