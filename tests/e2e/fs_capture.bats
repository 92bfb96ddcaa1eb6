#!/usr/bin/env bats
# Captures: started by a write or by a name, waited for, joined, interrupted, kept.
#
# The fake cpu collector really waits; a window of N s has the value 100 N, "whole" if it was not
# ended early.

load fs.bash

# one_since NANOSECONDS: what was read since then was of one capture; a result is good for two seconds.
one_since() {
	local passed=$(($(date +%s%N) - $1))
	[ "$(status captures_started)" = 1 ] || [ "$passed" -gt 2000000000 ]
}

@test "a written capture is read when it is over, in every format" {
	start_host
	echo 0.5 >"$M/cpu/seconds"
	head -1 "$M/cpu.pprof" | grep -q '^pprof cpu samples 50 whole '
	head -1 "$M/cpu.txt" | grep -q '^text cpu samples 50 whole '
	head -1 "$M/cpu.folded" | grep -q '^folded cpu samples 50 whole '
	[ "$(cat "$M/cpu/seconds")" = 0.5 ]
	grep -q '^cpu last finished .* s, 1 stacks' "$M/cpu/status"
	at_least 0.5 "$(grep '^cpu last finished' "$M/cpu/status")"
	[ "$(status captures_started)" = 1 ]
}

@test "without a capture there is no data, or the recorder's" {
	start_host
	run -1 cat "$M/cpu.pprof"
	[[ $output == *"No data available"* ]]
	kill -9 "$HOST"
	until_true not_mounted
	start_host -R
	head -1 "$M/cpu.pprof" | grep -q '^pprof cpu samples 0 recorder '
	[ "$(status captures_started)" = 0 ]
}

@test "a second capture is busy, and 0 ends the first and keeps what it has" {
	start_host
	echo 60 >"$M/cpu/seconds"
	run -1 bash -c "echo 5 >'$M/cpu/seconds'"
	[[ $output == *"Device or resource busy"* ]]
	run -1 cat "$M/cpu-1s.pprof"
	[[ $output == *"Device or resource busy"* ]]
	grep -q '^cpu running [0-9.]* of 60\.0 s, 0 waiting$' "$M/cpu/status"
	echo 0 >"$M/cpu/seconds"
	head -1 "$M/cpu.pprof" | grep -q '^pprof cpu samples 6000 early '
	[ "$(ls "$M/captures" | wc -l)" = 1 ]
	[ "$(cat "$M/cpu/seconds")" = 60 ]
	run -1 bash -c "echo 0 >'$M/cpu/seconds'"
	[[ $output == *"Numerical result out of range"* ]]
}

@test "cpu and wall are captured side by side" {
	start_host -w
	echo 60 >"$M/cpu/seconds"
	head -1 "$M/wall-0.1s.txt" | grep -q '^text wall samples 10 whole '
	head -1 "$M/debug/pprof/wall?seconds=0.2" | grep -q '^pprof wall samples 20 whole '
	head -1 "$M/wall.pprof" | grep -q '^pprof wall samples 20 whole '
	echo 0 >"$M/cpu/seconds"
}

@test "a capture by name returns it, and its hz reaches the collector" {
	start_host
	begun=$(date +%s%N)
	head -1 "$M/cpu-0.2s.pprof" | grep -q '^pprof cpu samples 20 whole hz=0'
	head -1 "$M/cpu-0.2s" | grep -q '^text cpu samples 20 '
	one_since "$begun"
	first=$(status captures_started)
	head -1 "$M/debug/pprof/profile?seconds=0.3&hz=500" | grep -q '^pprof cpu samples 30 whole hz=500'
	head -1 "$M/profile,seconds=0.4,hz=200" | grep -q '^pprof cpu samples 40 whole hz=200'
	[ "$(status captures_started)" = $((first + 2)) ]
}

@test "two readers of one name join one capture, whatever the format" {
	start_host
	head -1 "$M/cpu-3600s.pprof" >"$DIR/a" &
	a=$!
	head -1 "$M/cpu,seconds=3600" >"$DIR/b" &
	b=$!
	both() { grep -q ', 2 waiting$' "$M/cpu/status"; }
	until_true both
	echo 0 >"$M/cpu/seconds"
	wait $a && wait $b
	grep -q '^pprof cpu samples 360000 early' "$DIR/a"
	grep -q '^text cpu samples 360000 early' "$DIR/b"
	[ "$(status captures_started)" = 1 ]
}

@test "a reader that opens twice, as go tool pprof does, gets one capture" {
	start_host
	begun=$(date +%s%N)
	head -c 8 "$M/cpu-0.3s.pprof" >/dev/null
	head -1 "$M/cpu-0.3s.pprof" | grep -q 'samples 30 '
	one_since "$begun"
}

@test "a hundred readers wait for one capture and cost no thread each" {
	start_host
	cat "$M/heap" >/dev/null
	for i in $(seq 100); do
		head -1 "$M/cpu-3600s.txt" >"$DIR/$i" &
		readers="$readers $!"
	done
	hundred() { grep -q ', 100 waiting$' "$M/cpu/status"; }
	until_true hundred
	# The loop, the keeper, the capture, at most four workers; and the program's own.
	[ "$(ls "/proc/$HOST/task" | wc -l)" -le 8 ]
	echo 0 >"$M/cpu/seconds"
	for pid in $readers; do wait "$pid"; done
	for i in $(seq 100); do
		grep -q '^text cpu samples 360000 early' "$DIR/$i"
	done
	[ "$(status captures_started)" = 1 ]
}

@test "Ctrl-C ends a waiting reader at once, and the capture soon after" {
	start_host
	# setsid: a background job of a script ignores SIGINT.
	python3 - "$M/cpu-60s.pprof" "$M/cpu/status" <<-'P'
		import os, signal, subprocess, sys, time
		reader = subprocess.Popen(["cat", sys.argv[1]], stderr=subprocess.PIPE,
		    preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
		while b", 1 waiting" not in open(sys.argv[2], "rb").read():
		    time.sleep(0.01)
		reader.send_signal(signal.SIGINT)
		assert reader.wait(timeout=60) == -signal.SIGINT
	P
	[ "$(status fs_interrupted)" = 1 ]
	# Nobody came back for it: cancelled, and not kept.
	over() { not grep -q running "$M/cpu/status"; }
	until_true over
	grep -q 'last failed .*Interrupted system call' "$M/cpu/status"
	[ -z "$(ls "$M/captures")" ]
}

@test "a reader that repeats an interrupted open finds its capture again" {
	start_host
	python3 - "$M/cpu-2s.pprof" <<-'P'
		import signal, sys
		signal.signal(signal.SIGALRM, lambda *a: None)
		signal.setitimer(signal.ITIMER_REAL, 0.3, 0.3)
		line = open(sys.argv[1], "rb").readline()
		signal.setitimer(signal.ITIMER_REAL, 0)
		assert b"samples 200 whole" in line
	P
	[ "$(status captures_started)" = 1 ]
	[ "$(status fs_interrupted)" -ge 1 ]
}

@test "captures are kept by count, oldest first out, and rm frees one" {
	start_host
	echo 3 >"$M/config/captures_keep"
	for hz in 11 12 13 14 15; do
		cat "$M/cpu.pprof?seconds=0.01&hz=$hz" >/dev/null
	done
	[ "$(ls "$M/captures" | wc -l)" = 3 ]
	# Names with the same second end in -2, -3...; sizes and contents are real.
	cat "$M"/captures/* >"$DIR/all"
	for hz in 13 14 15; do grep -q "hz=$hz" "$DIR/all"; done
	not grep -q hz=12 "$DIR/all"
	[ "$(status fs_captures_dropped)" = 2 ]
	rm "$M"/captures/*
	[ -z "$(ls "$M/captures")" ]
	run -1 cat "$M/cpu.pprof"
	[[ $output == *"No data available"* ]]
}

@test "fewer to keep: the oldest go at once" {
	start_host
	for hz in 11 12 13; do
		cat "$M/cpu.pprof?seconds=0.01&hz=$hz" >/dev/null
	done
	[ "$(ls "$M/captures" | wc -l)" = 3 ]
	echo 2 >"$M/config/captures_keep"
	[ "$(ls "$M/captures" | wc -l)" = 2 ]
	echo 0 >"$M/config/captures_keep_bytes"
	[ "$(ls "$M/captures" | wc -l)" = 1 ]
	grep -q "hz=13" "$M"/captures/*
	[ "$(status fs_captures_dropped)" = 2 ]
}

@test "captures are kept by size, but the newest always" {
	start_host
	echo 1 >"$M/config/captures_keep_bytes"
	cat "$M/cpu-0.01s.pprof" "$M/cpu-0.02s.pprof" >/dev/null
	[ "$(ls "$M/captures" | wc -l)" = 1 ]
	grep -q 'samples 2 whole' "$M"/captures/*
}

@test "a removed capture can be read by whoever has it open" {
	start_host
	cat "$M/cpu-0.01s.pprof" >/dev/null
	exec 5<"$M/captures/$(ls "$M/captures")"
	rm "$M"/captures/*
	[ "$(wc -l <&5)" = 8001 ]
	exec 5<&-
}
