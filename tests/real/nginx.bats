# nginx with wrk: workers that are forked and drop to another user, reloads, and a daemon.
load real

config() { # PORT DAEMON
	mkdir -p www logs
	chmod 755 . www
	seq 20000 >www/index.html
	chmod 644 www/index.html
	cat >nginx.conf <<-END
		daemon $2;
		worker_processes 2;
		user root;
		pid $PWD/nginx.pid;
		error_log $PWD/logs/error.log;
		events { worker_connections 256; }
		http {
			access_log $PWD/logs/access.log;
			client_body_temp_path $PWD/logs/body; proxy_temp_path $PWD/logs/proxy;
			fastcgi_temp_path $PWD/logs/fastcgi; uwsgi_temp_path $PWD/logs/uwsgi;
			scgi_temp_path $PWD/logs/scgi;
			gzip on; gzip_types text/plain text/html;
			server { listen 127.0.0.1:$1; root $PWD/www; }
		}
	END
}

fetch() { curl -sS --max-time 60 "$@"; }
url() { echo "http://127.0.0.1:$port/"; }
workers() { pgrep -P "$(cat nginx.pid)" | sort; }
# What a client gets, and what nginx itself writes down: without its moments and numbers.
conversation() {
	local path
	for path in '' index.html nothing ../outside; do
		fetch --path-as-is -i "$(url)$path" | sed '/^Date:/d'
	done
	fetch --compressed -i "$(url)" | sed '/^Date:/d'
	fetch -r 100-199 -i "$(url)" | sed '/^Date:/d'
	fetch -X POST -d body -i "$(url)" | sed '/^Date:/d'
	fetch -I "$(url)" | sed '/^Date:/d'
}
load_it() { wrk -t1 -c20 --timeout 60s -d"$1" -H 'Accept-Encoding: gzip' "$(url)" 2>&1; }

@test "nginx, prefork, under wrk: whole answers, a reload, a quiet end; each worker has its tree" {
	port=$(free_port)
	config "$port" off
	background /usr/sbin/nginx -c "$PWD/nginx.conf" -e "$PWD/logs/early.log"
	wait_until 10 fetch -o got "$(url)"
	conversation >plain.out
	tree_stop QUIT
	PLAIN_STATUS=$STATUS

	background "$PROFFS" run "${FAST[@]}" -m "$PWD/trees-%p" -- /usr/sbin/nginx -c "$PWD/nginx.conf" -e "$PWD/logs/early.log"
	wait_until 10 fetch -o got "$(url)"
	cmp got www/index.html
	fetch --compressed -o got "$(url)"
	cmp got www/index.html
	conversation >watched.out
	diff -a plain.out watched.out
	for worker in $(workers); do
		wait_until 10 test -r "trees-$worker/README"
	done
	worker=$(workers | head -n 1)
	echo 2 >"trees-$worker/cpu/seconds"
	load_it 2s >wrk.out
	cat wrk.out
	has "$(cat wrk.out)" "requests in"
	hasnt "$(cat wrk.out)" "Socket errors"
	hasnt "$(cat wrk.out)" "Non-2xx"
	cat trees-*/cpu.folded >cpu.folded || true
	cp "trees-$worker/threads.folded" "trees-$worker/status" .
	names cpu.folded deflate
	names threads.folded main ngx_process_events_and_timers
	kill -HUP "$PID"
	old=$worker
	wait_until 10 eval '! kill -0 "$old" 2>/dev/null'
	fetch -o got "$(url)"
	cmp got www/index.html
	tree_stop QUIT
	is "$STATUS" "$PLAIN_STATUS"
	is "$STATUS" 0
	is "$(grep -cE 'alert|emerg|signal 11|exited on' logs/error.log)" 0
	wait_until 5 no_mount_left
}

# daemon FILE CMD...: nginx goes into the background; what the command said, how it ended and the whole
# conversation are in FILE. $master is the server.
daemon() {
	local status=0
	rm -f nginx.pid
	"${@:2}" /usr/sbin/nginx -c "$PWD/nginx.conf" -e "$PWD/logs/early.log" </dev/null >"$OUT" 2>"$ERR" 3>&- || status=$?
	wait_until 10 test -s nginx.pid
	master=$(cat nginx.pid)
	STARTED+=("$master")
	wait_until 10 fetch -o got "$(url)"
	{
		cat "$OUT"
		grep -vxF "proffs: $PWD/trees-%p" "$ERR" || true
		echo "ended $status"
		conversation
	} >"$1"
}

daemon_ends() {
	kill -TERM "$master"
	wait_until 10 eval '! kill -0 "$master" 2>/dev/null'
	[ ! -e nginx.pid ]
}

@test "nginx, daemon on: the command ends, the server stays, and is watched where it went" {
	port=$(free_port)
	config "$port" on
	daemon plain.out env -u PROFFS_ENABLE
	daemon_ends
	daemon watched.out "$PROFFS" run "${FAST[@]}" -m "$PWD/trees-%p" --
	diff -a plain.out watched.out
	has "$(cat watched.out)" "ended 0"
	cmp got www/index.html
	wait_until 10 test -r "trees-$master/threads"
	cp "trees-$master/threads.folded" .
	names threads.folded main ngx_master_process_cycle
	worker=$(workers | head -n 1)
	wait_until 10 test -r "trees-$worker/README"
	cp "trees-$worker/threads.folded" .
	names threads.folded main ngx_master_process_cycle ngx_process_events_and_timers
	load_it 1s >wrk.out
	has "$(cat wrk.out)" "requests in"
	hasnt "$(cat wrk.out)" "Socket errors"
	hasnt "$(cat wrk.out)" "Non-2xx"
	daemon_ends
	is "$(grep -cE 'alert|emerg|signal 11|exited on' logs/error.log)" 0
	wait_until 5 no_mount_left
}
