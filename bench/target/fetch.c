/* Fetch: reads small things over and over, from files and from a server on loopback, with the same
 * few system calls, and says what one takes.
 *
 * usage: fetch serve FILE             an HTTP server that sends FILE's bytes; prints its port
 *        fetch time ROUNDS WHAT...    WHAT: a path, or :PORT. A line a round: microseconds of each
 *        fetch crowd COUNT WHAT       so many processes at once; microseconds until the last is done
 *        fetch stream FILE            microseconds of open, microseconds of reading, bytes
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static char buffer[1 << 20];

static double now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

static long drain(int fd)
{
	long bytes = 0;
	ssize_t n;

	while ((n = read(fd, buffer, sizeof(buffer))) > 0)
		bytes += n;
	if (n < 0 || bytes == 0)
		fail("read");
	return bytes;
}

static int call(int port)
{
	static const char request[] = "GET /status HTTP/1.0\r\n\r\n";
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof(to)) != 0)
		fail("connect");
	if (write(fd, request, sizeof(request) - 1) < 0)
		fail("write");
	return fd;
}

static void fetch(const char *what)
{
	int fd = *what == ':' ? call(atoi(what + 1)) : open(what, O_RDONLY);

	if (fd < 0)
		fail(what);
	drain(fd);
	close(fd);
}

static void serve(const char *file)
{
	struct sockaddr_in at = {.sin_family = AF_INET};
	socklen_t size = sizeof(at);
	int listener = socket(AF_INET, SOCK_STREAM, 0);
	int fd = open(file, O_RDONLY);
	char head[128], request[1024];
	static char body[65536];
	ssize_t length = fd < 0 ? -1 : read(fd, body, sizeof(body));
	int n =
	    snprintf(head, sizeof(head), "HTTP/1.0 200 OK\r\nContent-Length: %zd\r\n\r\n", length);

	at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (length < 0 || bind(listener, (struct sockaddr *)&at, sizeof(at)) != 0 ||
	    listen(listener, 512) != 0 || getsockname(listener, (struct sockaddr *)&at, &size) != 0)
		fail("serve");
	printf("%d\n", ntohs(at.sin_port));
	fflush(stdout);
	for (;;) {
		int one = accept(listener, NULL, NULL);

		if (one < 0)
			continue;
		if (read(one, request, sizeof(request)) > 0 && write(one, head, (size_t)n) == n &&
		    write(one, body, (size_t)length) != length)
			fail("send");
		close(one);
	}
}

static void time_them(int rounds, char **what)
{
	for (int i = 0; i < rounds; i++) {
		for (char **w = what; *w; w++) {
			double start = now_us();

			fetch(*w);
			printf("%.2f ", now_us() - start);
		}
		printf("\n");
	}
}

static void crowd(int count, const char *what)
{
	int gate[2], status, bad = 0;
	double start;
	char byte;

	if (pipe(gate) != 0)
		fail("pipe");
	for (int i = 0; i < count; i++)
		if (fork() == 0) {
			close(gate[1]);
			if (read(gate[0], &byte, 1) != 0)
				_exit(1);
			fetch(what);
			_exit(0);
		}
	close(gate[0]);
	usleep(200000); /* all of them stand at the gate */
	start = now_us();
	close(gate[1]);
	for (int i = 0; i < count; i++) {
		wait(&status);
		bad += status != 0;
	}
	printf("%.0f %d\n", now_us() - start, bad);
}

static void stream(const char *file)
{
	double start = now_us(), opened;
	int fd = open(file, O_RDONLY);
	long bytes;

	if (fd < 0)
		fail(file);
	opened = now_us();
	bytes = drain(fd);
	printf("%.0f %.0f %ld\n", opened - start, now_us() - opened, bytes);
}

int main(int argc, char **argv)
{
	if (argc == 3 && strcmp(argv[1], "serve") == 0)
		serve(argv[2]);
	else if (argc > 3 && strcmp(argv[1], "time") == 0)
		time_them(atoi(argv[2]), argv + 3);
	else if (argc == 4 && strcmp(argv[1], "crowd") == 0)
		crowd(atoi(argv[2]), argv[3]);
	else if (argc == 3 && strcmp(argv[1], "stream") == 0)
		stream(argv[2]);
	else
		return 2;
	return 0;
}
