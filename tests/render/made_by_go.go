// Makes tests/render/go_heap.pprof and go_cpu.pprof: main > handle > add > alloc, as profiles.h has it.
package main

import (
	"context"
	"os"
	"runtime"
	"runtime/pprof"
	"time"
)

var kept [][]byte

//go:noinline
func alloc(n int) { kept = append(kept, make([]byte, n)) }

//go:noinline
func add() { alloc(4096) }

//go:noinline
func handle() {
	add()
	alloc(1024)
}

//go:noinline
func spin() (x int) {
	for i := 0; i < 1000000; i++ {
		x += i ^ x
	}
	return
}

func main() {
	runtime.MemProfileRate = 1
	f, _ := os.Create("go_cpu.pprof")
	pprof.StartCPUProfile(f)
	pprof.Do(context.Background(), pprof.Labels("thread", "worker"), work)
	pprof.StopCPUProfile()
	f.Close()
	for i := 0; i < 100; i++ {
		handle()
	}
	f, _ = os.Create("go_heap.pprof")
	runtime.GC()
	pprof.Lookup("heap").WriteTo(f, 0)
	f.Close()
}

func until() time.Time { return time.Now().Add(300 * time.Millisecond) }

func work(context.Context) {
	for end := until(); time.Now().Before(end); {
		spin()
	}
}

