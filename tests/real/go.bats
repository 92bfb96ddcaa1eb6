# A Go program: its own stacks, its own scheduler, raw futexes, SIGURG to preempt; with cgo it loads us,
# without it is static and said to be.
load real

program() {
	cat >program.go <<-END
		package main
		$1
		import ("crypto/sha256"; "fmt"; "os"; "os/exec"; "os/signal"; "runtime"; "sync"; "syscall"; "time")
		func digest(n int) [32]byte {
			data := make([]byte, 100000)
			sum := sha256.Sum256(data)
			for round := 0; round < 200; round++ {
				for i := range data { data[i] += byte(i * n) + sum[i % 32] } // of its own time, too
				sum = sha256.Sum256(data)
			}
			return sum
		}
		func deep(n int) int { var pad [256]byte; pad[n%256] = 1; if n == 0 { return int(pad[0]) }; return deep(n-1) + 1 }
		func main() {
			var group sync.WaitGroup
			var lock sync.Mutex
			total := byte(0)
			for n := 0; n < 50; n++ {
				group.Add(1)
				go func(n int) { defer group.Done(); s := digest(n); lock.Lock(); total ^= s[0]; lock.Unlock() }(n)
			}
			group.Wait()
			fmt.Println(total, deep(100000))
			runtime.GC()
			caught := make(chan os.Signal, 1)
			signal.Notify(caught, syscall.SIGUSR1)
			syscall.Kill(os.Getpid(), syscall.SIGUSR1)
			fmt.Println(<-caught)
			out, err := exec.Command("sh", "-c", "echo child; exit 3").CombinedOutput()
			fmt.Printf("%s%v\n", out, err)
			var p *int
			func() { defer func() { fmt.Println(recover() != nil) }(); *p = 1 }()
			begin := time.Now(); time.Sleep(50 * time.Millisecond); fmt.Println(time.Since(begin) >= 50*time.Millisecond)
			$2
			// It leaves by a system call of its own, so what there is must be read before.
			for { if _, err := os.Stat("go-on"); err == nil { break }; time.Sleep(time.Millisecond) }
			os.Exit(7)
		}
	END
}

build() {
	export HOME=$PWD GOCACHE=$PWD/cache GOFLAGS=-mod=mod GO111MODULE=off
	go build -o program program.go
}

@test "a Go program that is linked with C" {
	program '
		/*
		#include <stdlib.h>
		#include <string.h>
		int work(int n) { int s = 0; for (int i = 0; i < n; i++) { char *p = malloc(1000); memset(p, i, 1000); s += p[i % 1000]; free(p); } return s; }
		*/
		import "C"' 'fmt.Println(C.work(200000))'
	build
	touch go-on
	plain ./program
	rm go-on
	serve ./program
	wait_until 30 eval '[ "$(wc -l <"$OUT")" -eq "$(wc -l <plain.out)" ]'
	cp "$TREE/allocs.folded" "$TREE/cpu.folded" "$TREE/threads.folded" .
	names allocs.folded work
	names cpu.folded main.digest
	touch go-on
	STATUS=0
	wait "$PID" || STATUS=$?
	NOISE='^proffs: ' agrees
	is "$STATUS" 7
}

@test "a Go program without C is static: said, and run as it is" {
	export CGO_ENABLED=0
	program '' ''
	build
	touch go-on
	plain ./program
	STATUS=0
	"$PROFFS" run -m "$TREE" -- ./program >"$OUT" 2>"$ERR" 3>&- || STATUS=$?
	NOISE='^proffs: .* static' agrees
	is "$STATUS" 7
	has "$(cat "$ERR")" static
}
