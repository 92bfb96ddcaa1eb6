#!/usr/bin/env bats
# The tools people read files with, 53 of them, on files that did not exist before they were opened.
#
# Two look at the size before they open: the shell's [ -s ], and a tar that does not look again once
# it has opened (newer ones do). They are right on captures and snapshots, whose sizes are real; all
# others are right everywhere.

load fs.bash

setup_file() {
	export READERS=$BATS_FILE_TMPDIR
	export GOCACHE=$BATS_FILE_TMPDIR/go GOFLAGS=-mod=mod GO111MODULE=off
	local source=$BATS_TEST_DIRNAME/reader
	g++ -O1 -o "$READERS/cpp" "$source/reader.cc"
	gcc -D_GNU_SOURCE -O1 -o "$READERS/splice" "$source/splice.c"
	go build -o "$READERS/go-reader" "$source/reader.go"
}

# expect FILE: what tools must see; the file's name is $F, its right content $E
expect() {
	F=$1 E=$DIR/expected
	: >"$DIR/wrong"
	tools=0
}

# prints TOOL CMD...: it prints the file as it is
prints() {
	timeout 60 "${@:2}" >"$DIR/got" 2>"$DIR/said" || true
	judge "$1" "$DIR/got" "$E"
}

# follows TOOL CMD...: it prints the file as it is, once, and then stays
follows() {
	"${@:2}" >"$DIR/got" 2>"$DIR/said" 3>&- &
	CHILD=$!
	until_true cmp -s "$DIR/got" "$E" || true
	sleep 0.3
	kill "$CHILD"
	wait "$CHILD" || true
	judge "$1" "$DIR/got" "$E"
}

# copies TOOL CMD...: it leaves the file as $DIR/got
copies() {
	rm -rf "$DIR/got"
	timeout 60 "${@:2}" >/dev/null 2>"$DIR/said" || true
	judge "$1" "$DIR/got" "$E"
}

# agrees TOOL SCRIPT: the script says the same of $1 whether that is the file or the right content
agrees() {
	timeout 60 bash -c "$2" - "$F" >"$DIR/got" 2>"$DIR/said" || true
	bash -c "$2" - "$E" >"$DIR/right" 2>/dev/null || true
	judge "$1" "$DIR/got" "$DIR/right"
}

judge() {
	tools=$((tools + 1))
	cmp -s "$2" "$3" && return 0
	echo "$1" >>"$DIR/wrong"
	echo "$1: $(wc -c <"$2") bytes: $(head -c 80 "$DIR/said")"
}

# python TOOL LINES: LINES get sys.argv[1], the file, and argv[2], a place for a copy
python() {
	prints "$1" python3 -c "import mmap, os, shutil, sys
out = sys.stdout.buffer.write
$2" "$F" "$DIR/copy"
}

all_tools() {
	prints cat cat "$F"
	copies cp cp "$F" "$DIR/got"
	copies cp-sparse cp --sparse=always "$F" "$DIR/got"
	copies cp-a cp -a "$F" "$DIR/got"
	copies install install -m600 "$F" "$DIR/got"
	copies busybox-cp busybox cp "$F" "$DIR/got"
	prints busybox-cat busybox cat "$F"
	agrees head-c 'head -c 100000 "$1"'
	agrees head-all-but-one 'head -n -1 "$1"'
	agrees tail-c 'tail -c 100 "$1"'
	agrees tail-n 'tail -n 3 "$1"'
	prints tail-from-1 tail -n +1 "$F"
	follows tail-f tail -n +1 -f "$F"
	prints less less "$F"
	agrees grep-c 'grep -c abc "$1"'
	agrees grep-o 'grep -o "^00100 abc" "$1"'
	agrees wc-c 'wc -c <"$1"'
	agrees wc-c-name 'wc -c "$1" | cut -d" " -f1'
	agrees wc-l 'wc -l <"$1"'
	agrees test-s '[ -s "$1" ] && echo yes'
	prints dd dd if="$F" bs=64k status=none
	prints dd-direct dd if="$F" bs=64k iflag=direct status=none
	agrees dd-skip 'dd if="$1" bs=1000 skip=100 count=1 status=none'
	copies rsync rsync "$F" "$DIR/got"
	prints tar bash -c 'tar -C "${1%/*}" -cf - "${1##*/}" | tar -xOf -' - "$F"
	prints gzip bash -c 'gzip -c "$1" | gunzip' - "$F"
	rm -f "$DIR/x.zip"
	prints zip bash -c 'zip -q "$2" "$1" && unzip -p "$2"' - "$F" "$DIR/x.zip"
	agrees md5sum 'md5sum <"$1"'
	agrees sort 'sort "$1"'
	prints sed sed -n p "$F"
	prints awk awk '{print}' "$F"
	prints perl perl -pe '' "$F"
	prints perl-slurp perl -e 'local $/; open F, shift; print <F>' "$F"
	prints bash-slurp bash -c 'x=$(<"$1"); printf "%s\n" "$x"' - "$F"
	python python-bytes 'out(open(sys.argv[1], "rb").read())'
	python python-text 'sys.stdout.write(open(sys.argv[1]).read())'
	python python-mmap 'f = open(sys.argv[1], "rb")
out(mmap.mmap(f.fileno(), 0, prot=mmap.PROT_READ)[:])'
	python python-copyfile 'shutil.copyfile(*sys.argv[1:])
out(open(sys.argv[2], "rb").read())'
	python python-sendfile 'f, g = open(sys.argv[1], "rb"), open(sys.argv[2], "wb")
size, at = os.fstat(f.fileno()).st_size, 0
while at < size:
    n = os.sendfile(g.fileno(), f.fileno(), at, size - at)
    if n == 0: break
    at += n
g.close()
out(open(sys.argv[2], "rb").read())'
	agrees python-size-once-open 'python3 -c "import os, sys
print(os.fstat(open(sys.argv[1]).fileno()).st_size)" "$1"'
	agrees python-seek-end 'python3 -c "import sys
print(open(sys.argv[1], \"rb\").seek(0, 2))" "$1"'
	prints go-readfile "$READERS/go-reader" readfile "$F"
	prints go-copy "$READERS/go-reader" copy "$F"
	prints go-size "$READERS/go-reader" size "$F"
	agrees cmp "cmp \"\$1\" '$E' && echo same"
	agrees diff "diff -q \"\$1\" '$E' && echo same"
	agrees od 'od -An -c "$1"'
	rm -f "$DIR"/part.*
	prints split bash -c 'split -b 50000 "$1" "$2." && cat "$2".*' - "$F" "$DIR/part"
	prints curl curl -s "file://$F"
	prints vim vim -u NONE -es -c %print -c q! "$F"
	agrees git-hash 'git hash-object "$1"'
	prints cpp "$READERS/cpp" "$F"
	prints splice bash -c '"$1" "$2" | cat' - "$READERS/splice" "$F"
	[ "$tools" = 53 ]
}

# threads is the one profile of the fake that is the same at every open.
threads_text() {
	echo "threads threads threads 1 $("$BUILD/proffs" --version)"
	seq -f '%05.0f abcdefghijklmnopqrstuvwxyz' 0 7999
}

@test "51 of 53 tools read a live file right: all but [ -s ] and some tars" {
	start_host
	expect "$M/threads"
	threads_text >"$E"
	all_tools
	[ "$(grep -vx tar "$DIR/wrong")" = test-s ]
}

# The kernel has all of it before the open is answered.
@test "51 of 53 tools read a small live file right" {
	start_host
	expect "$M/buildinfo"
	dd if="$F" of="$E" bs=7 status=none
	grep -q "^version " "$E"
	[ "$(stat -c %s "$E")" -lt 32768 ]
	all_tools
	[ "$(grep -vx tar "$DIR/wrong")" = test-s ]
}

@test "53 of 53 tools read a snapshot's file right" {
	start_host
	echo one >"$M/snapshot"
	expect "$M/captures/one/threads"
	threads_text >"$E"
	all_tools
	[ ! -s "$DIR/wrong" ]
}

@test "53 of 53 tools read a capture right" {
	start_host
	echo 0.1 >"$M/cpu/seconds"
	cat "$M/cpu/wait" >/dev/null
	cat "$M/cpu.pprof" >"$DIR/expected"
	expect "$M/captures/$(ls "$M/captures")"
	all_tools
	[ ! -s "$DIR/wrong" ]
}
