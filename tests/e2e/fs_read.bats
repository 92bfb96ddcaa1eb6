#!/usr/bin/env bats
# Ordinary tools read the tree as if it were plain files.
#
# heap is one line "text heap inuse_space N" that changes with every open, and 8000 lines of 33
# bytes that do not; what a tool read whole has 8001 lines and ends with line 07999.

load fs.bash

LAST='07999 abcdefghijklmnopqrstuvwxyz'

# whole FILE: all of one opening of heap arrived
whole() {
	[ "$(wc -l <"$1")" = 8001 ]
	[ "$(tail -n 1 "$1")" = "$LAST" ]
	head -n 1 "$1" | grep -q '^text heap inuse_space [0-9]* proffs [0-9.]*$'
}

@test "cat, cp, dd, head, tail and wc read a file whole" {
	start_host
	cat "$M/heap" >"$DIR/1" && whole "$DIR/1"
	cp "$M/heap" "$DIR/2" && whole "$DIR/2"
	cp -a "$M/heap" "$DIR/3" && whole "$DIR/3"
	dd if="$M/heap" of="$DIR/4" bs=64k status=none && whole "$DIR/4"
	dd if="$M/heap" of="$DIR/5" bs=1000 iflag=direct status=none && whole "$DIR/5"
	[ "$(head -c 9 "$M/heap")" = "text heap" ]
	[ "$(tail -n 1 "$M/heap")" = "$LAST" ]
	[ "$(tail -c 6 "$M/heap")" = "vwxyz" ]
	[ "$(wc -l <"$M/heap")" = 8001 ]
	[ "$(wc -c <"$M/allocs")" -gt 264000 ]
	[ "$(wc -c "$M/allocs" | cut -d' ' -f1)" -gt 264000 ]
}

@test "grep, sed, awk, sort, gzip, cmp and busybox read a file whole" {
	start_host
	[ "$(grep -c abc "$M/heap")" = 8000 ]
	sed -n p "$M/heap" >"$DIR/1" && whole "$DIR/1"
	awk '{ print }' "$M/heap" >"$DIR/2" && whole "$DIR/2"
	[ "$(sort "$M/heap" | wc -l)" = 8001 ]
	gzip -c "$M/heap" | gunzip >"$DIR/3" && whole "$DIR/3"
	[ "$(cmp "$M/threads" "$M/threads" && echo same)" = same ]
	busybox cat "$M/heap" >"$DIR/4" && whole "$DIR/4"
	busybox cp "$M/heap" "$DIR/5" && whole "$DIR/5"
}

@test "rsync and tar of a capture, and rsync of a live file, copy all of it" {
	start_host
	echo 0.1 >"$M/cpu/seconds"
	cat "$M/cpu.pprof" >"$DIR/now"
	name=$(ls "$M/captures")
	rsync "$M/heap" "$DIR/1" && whole "$DIR/1"
	rsync "$M/captures/$name" "$DIR/2" && cmp "$DIR/2" "$DIR/now"
	tar -C "$M/captures" -cf "$DIR/t.tar" "$name"
	tar -xOf "$DIR/t.tar" | cmp - "$DIR/now"
	[ -s "$M/captures/$name" ]
}

@test "python reads, maps, seeks, copies and sends a file whole" {
	start_host
	python3 - "$M/heap" "$DIR" <<-'P'
		import mmap, os, shutil, sys
		path, out = sys.argv[1:]
		def whole(data):
		    assert data.count(b"\n") == 8001 and data.endswith(b"07999 abcdefghijklmnopqrstuvwxyz\n"), len(data)
		whole(open(path, "rb").read())
		whole(open(path).read().encode())
		with open(path, "rb") as f:
		    size = os.fstat(f.fileno()).st_size
		    whole(mmap.mmap(f.fileno(), 0, prot=mmap.PROT_READ)[:])
		    assert f.seek(0, 2) == size
		    f.seek(0)
		    whole(f.read())
		shutil.copy(path, out + "/copied")
		whole(open(out + "/copied", "rb").read())
		with open(path, "rb") as f, open(out + "/sent", "wb") as g:
		    at, size = 0, os.fstat(f.fileno()).st_size
		    while at < size:
		        at += os.sendfile(g.fileno(), f.fileno(), at, size - at)
		whole(open(out + "/sent", "rb").read())
	P
}

@test "an open file is one moment, whatever others open" {
	start_host
	exec 5<"$M/heap"
	first=$(head -c 24 <&5)
	cat "$M/heap" "$M/heap" >/dev/null
	[ "$(dd if=/proc/self/fd/5 bs=24 count=1 status=none)" = "$first" ]
	exec 5<&-
	[ "$(head -c 24 "$M/heap")" != "$first" ]
}

@test "two hundred readers at once all read it whole" {
	start_host
	for i in $(seq 200); do
		cat "$M/heap" >"$DIR/$i" &
		readers="$readers $!"
	done
	for pid in $readers; do wait "$pid"; done
	for i in $(seq 200); do
		[ "$(wc -l <"$DIR/$i")" = 8001 ]
		tail -n 1 "$DIR/$i" | grep -q '^07999 '
	done
}

@test "poll says that every file can be read" {
	start_host
	python3 - "$M" <<-'P'
		import os, select, sys
		for name in ("heap", "status", "cpu/hz"):
		    fd = os.open(sys.argv[1] + "/" + name, os.O_RDONLY | os.O_NONBLOCK)
		    p = select.poll(); p.register(fd, select.POLLIN)
		    assert p.poll(1000) and os.read(fd, 10), name
	P
}

@test "ls -lR, find and du start nothing and open nothing" {
	start_host
	before=$(status captures_started)
	ls -lR "$M" >/dev/null
	find "$M" >/dev/null
	du -a "$M" >/dev/null
	find "$M" -name 'cpu.pprof' -type l | grep -q cpu.pprof
	[ "$(status captures_started)" = "$before" ]
}

@test "whoever reads the whole tree starts no capture and waits for none" {
	start_host
	timeout 60 grep -r no-such-text "$M" || [ $? = 1 ]
	timeout 60 tar -C "$M" -cf "$DIR/t.tar" .
	timeout 60 cp -r "$M" "$DIR/copy"
	timeout 60 find "$M" -type f -exec cat {} + >"$DIR/all"
	timeout 60 rsync -a "$M/" "$DIR/synced/"
	[ "$(status captures_started)" = 0 ]
	whole "$DIR/copy/heap"
	whole "$DIR/synced/heap.txt"
	[ -L "$DIR/copy/cpu.pprof" ]
}

@test "every listed file can be read, and says what README says it is" {
	start_host -w
	find "$M" -type f | while read -r file; do
		cat "$file" >/dev/null
	done
	for name in heap allocs threads cpu wall captures gc enable config/stack_depth; do
		grep -q "^  $name " "$M/README"
	done
	[ "$(head -1 "$M/heap")" != "" ]
	head -1 "$M/allocs.pprof" | grep -q '^pprof allocs alloc_space '
	head -1 "$M/threads.folded" | grep -q '^folded threads '
	head -1 "$M/goroutine" | grep -q '^threads threads '
	head -1 "$M/debug/pprof/heap" | grep -q '^pprof heap inuse_space '
	head -1 "$M/debug/pprof/goroutine" | grep -q '^pprof goroutine goroutine '
}

@test "cmdline has the arguments, with NULs as /proc has them" {
	start_host -w
	cmp "$M/cmdline" "/proc/$HOST/cmdline"
	[ "$(wc -c <"$M/debug/pprof/cmdline")" = $(($(wc -c <"/proc/$HOST/cmdline") - 1)) ]
}

@test "stats are the process's numbers as the kernel has them" {
	start_host
	number() { awk -v name="$1" '$1 == name { print $2 }' "$M/stats"; }
	[ "$(number pid)" = "$HOST" ]
	[ "$(number threads)" = 1 ]
	[ "$(number fds)" = "$(ls "/proc/$HOST/fd" | wc -l)" ]
	[ "$(number vms_bytes)" -gt 1000000 ]
	for name in uptime_seconds cpu_user_seconds cpu_system_seconds rss_bytes minor_faults \
		major_faults voluntary_context_switches involuntary_context_switches; do
		[ -n "$(number "$name")" ]
	done
	awk '{ if (NF != 2) exit 1 }' "$M/debug/stats"
}

@test "buildinfo has the build ids that the files have" {
	start_host
	id() { readelf -n "$1" | sed -n 's/.*Build ID: //p'; }
	grep -q "^program *$(id "$FS_HOST") .*/fs_host$" "$M/buildinfo"
	for name in version libproffs compiler libfuse zlib protobuf-c elfutils; do
		grep -q "^$name *[^ ]" "$M/buildinfo"
	done
}

@test "objects in use and bytes in use have names of their own, as Go's tools know them" {
	start_host
	head -1 "$M/inuse_objects" | grep -q '^text inuse_objects inuse_objects 2 '
	head -1 "$M/inuse_space.folded" | grep -q '^folded inuse_space inuse_space '
	head -1 "$M/debug/pprof/inuse_objects" | grep -q '^pprof inuse_objects inuse_objects '
}

@test "names with a query reach the same file in every spelling" {
	start_host
	head -1 "$M/heap?debug=1&gc=1" | grep -q '^legacy heap '
	head -1 "$M/heap,debug=1,gc=1" | grep -q '^legacy heap '
	head -1 "$M/debug/pprof/goroutine?debug=2" | grep -q '^stacks goroutine '
	head -1 "$M/debug/pprof/heap?debug=1&unknown=7" | grep -q '^legacy heap '
	head -1 "$M/heap?d%65bug=%31" | grep -q '^legacy heap '
	grep -q 'released 4096 bytes' "$M/gc"
}

@test "a profile with seconds is the difference of two moments" {
	start_host
	# The fake's n-th snapshot has 1000 n bytes: two in a row differ by 1000, or 2000 in use.
	head -1 "$M/heap,seconds=0.1" | grep -q '^text heap inuse_space 2000 '
	head -1 "$M/allocs?seconds=0.1" | grep -q '^text allocs alloc_space 1000 '
	head -1 "$M/debug/pprof/allocs?seconds=0.1" | grep -q '^pprof allocs alloc_space 1000 '
}

@test "unknown names are missing, bad values are invalid, and stat starts nothing" {
	start_host
	run -1 cat "$M/no-such"
	[[ $output == *"No such file"* ]]
	run -1 cat "$M/no-such?seconds=x"
	[[ $output == *"No such file"* ]]
	run -1 cat "$M/wall.pprof"
	[[ $output == *"No such file"* ]]
	for bad in 'heap?debug=x' 'heap?seconds=0' 'heap?seconds=-1' 'heap?seconds=86401' \
		'profile?seconds=1e3' 'profile?hz=0' 'heap?gc=%zz' 'heap,n=0' 'cpu-0s.pprof' \
		'heap?seconds=1&debug=1' 'heap?focus=(' 'heap,focus=a{9999}'; do
		run -1 cat "$M/$bad"
		[[ $output == *"Invalid argument"* ]]
	done
	stat "$M/cpu-5s.pprof" "$M/debug/pprof/profile?seconds=5" >/dev/null
	[ "$(status captures_started)" = 0 ]
}

@test "nothing can be made, renamed or removed, and files made at open are not written" {
	start_host
	run -1 mkdir "$M/new"
	[[ $output == *"Operation not permitted"* ]]
	run -1 ln -s a "$M/new"
	[[ $output == *"Operation not permitted"* ]]
	run -1 mkfifo "$M/new"
	[[ $output == *"Operation not permitted"* ]]
	run -1 mv "$M/heap" "$M/new"
	[[ $output == *"Operation not permitted"* ]]
	run -1 rm "$M/heap"
	[[ $output == *"Operation not permitted"* ]]
	run -1 rmdir "$M/config"
	[[ $output == *"Operation not permitted"* ]]
	run -1 chmod 777 "$M/heap"
	[[ $output == *"Operation not permitted"* ]]
	run -1 touch "$M/new"
	[[ $output == *"Permission denied"* ]]
	run -1 bash -c "echo 1 >'$M/heap'"
	[[ $output == *"Permission denied"* ]]
	run -1 truncate -s 0 "$M/heap"
	[[ $output == *"Permission denied"* ]]
}

@test "modes, owner and times are those of secrets made just now" {
	start_host
	[ "$(stat -c '%a %U' "$M")" = "500 $(id -un)" ]
	[ "$(stat -c %a "$M/heap")" = 400 ]
	[ "$(stat -c %a "$M/cpu/seconds")" = 600 ]
	[ "$(stat -c %a "$M/captures")" = 700 ]
	age=$(($(date +%s) - $(stat -c %Y "$M/heap")))
	[ "$age" -le 5 ]
	[ "$(stat -c %i "$M/heap")" = "$(stat -c %i "$M/heap")" ]
	not grep -q "$M" <<<"$(df)"
}

@test "names that anybody can invent are forgotten again" {
	start_host
	# One process, so that none is forgotten before the last is asked for.
	python3 - "$M" >"$DIR/status" <<-'P'
		import os, sys
		for i in range(300):
		    os.stat(f"{sys.argv[1]}/heap?x={i}")
		print(open(f"{sys.argv[1]}/status").read())
	P
	[ "$(awk '$1 == "open_or_remembered_files" {print $2}' "$DIR/status")" -ge 300 ]
	few() { [ "$(status open_or_remembered_files)" -le 5 ]; }
	until_true few
}

@test "more names than can be remembered are refused, and later there is room again" {
	start_host
	# One process, so that none is forgotten before the last is asked for.
	run -1 python3 -c 'import os, sys
for i in range(1200): os.stat(f"{sys.argv[1]}/heap?x={i}")' "$M"
	[[ $output == *"Too many open files in system"* ]]
	readable() { cat "$M/heap,n=5" >/dev/null 2>&1; }
	until_true readable
	[ "$(status fs_lost_nodes)" -ge 1 ]
}

@test "a thread is a directory of its own" {
	start_host
	[ "$(ls "$M/thread")" = "$HOST" ]
	[ "$(cat "$M/thread/$HOST/state")" = running ]
	[ "$(cat "$M/thread/$HOST/name")" = "ma?in" ]
	run -1 cat "$M/thread/0$HOST/state"
	[[ $output == *"No such file"* ]]
	run -1 cat "$M/thread/1/state"
	[[ $output == *"No such file"* ]]
}

@test "a page has its size before it is opened, for browsers and for tar" {
	start_host
	# The first one is larger than what was told, as it can be once; then there is room.
	for _ in 1 2; do
		told=$(stat -c %s "$M/heap.html")
		got=$(wc -c <"$M/heap.html")
	done
	[ "$told" = "$got" ]
	[ "$told" -gt 264000 ]
	grep -q "^$LAST *$" "$M/heap.html"
	tar -C "$M" -cf "$DIR/t.tar" heap.html
	[ "$(tar -xOf "$DIR/t.tar" heap.html | wc -c)" = "$told" ]
	tar -xOf "$DIR/t.tar" heap.html | grep -q "^$LAST"
	[ "$(stat -c %s "$M/heap.txt")" = 0 ]
}
