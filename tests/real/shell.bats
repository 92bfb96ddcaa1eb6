# bash with thousands of short children, each of which inherits us.
load real

@test "bash: two thousand children, pipelines, jobs, traps" {
	cat >program.sh <<-'END'
		sum=0
		for i in {1..400}; do
			sum=$((sum + $(/bin/echo $i)))
			/bin/true
			/bin/false || sum=$((sum + $?))
		done
		echo "$sum"
		for i in {1..50}; do seq 1000 | sort -rn | head -n 1 | tr 1 x; done | uniq -c
		for i in 1 2 3 4; do (sleep 0.0$i; exit "$i") & pids+=($!); done
		for p in "${pids[@]}"; do wait "$p"; echo "$?"; done
		f() { local n=$1; ((n < 2)) && echo 1 || echo $(($(f $((n - 1))) + 1)); }
		f 30
		coproc cat; echo through >&"${COPROC[1]}"; read -r line <&"${COPROC[0]}"; echo "$line"
		ulimit -n 64; exec 50</dev/null; ls /proc/$BASHPID/fd | tr '\n' ' '
		trap 'echo bye' EXIT
		kill -TERM $BASHPID
	END
	same bash program.sh
	is "$STATUS" 143
	most dump/cpu.folded 60 main execute_command_internal
	names dump/wall.folded main wait_for
}

@test "bash: every child of it with a tree of its own, when it lives long enough" {
	cat >program.sh <<-'END'
		for i in {1..100}; do /bin/echo $i; done | paste -sd+ | bc 2>/dev/null || true
		for i in {1..6}; do sh -c 'sleep 1.5; echo slept' & done
		wait
		(exit 7)
	END
	family bash program.sh
	is "$STATUS" 7
	is "$(grep -lx 'program sleep' dump-*/status | wc -l)" 6
	names "$(dump_of sleep)/wall.folded" __libc_start_main '.*nanosleep.*'
	names "$(dump_of bash)/wall.folded" main execute_command
}

@test "dash: the same script under another shell" {
	cat >program.sh <<-'END'
		n=0
		while [ $n -lt 400 ]; do n=$((n + 1)); x=$(echo $n | cut -c1); done
		echo $n $x
		(trap 'echo caught; exit 5' USR1; kill -USR1 $(exec sh -c 'echo $PPID'); sleep 5)
		echo $?
	END
	same dash program.sh
	is "$STATUS" 0
	names dump/cpu.folded '\[dash\]' '_?_?(libc_)?fork'
	most dump/wall.folded 60 '\[dash\]'
}
