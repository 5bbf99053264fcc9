package main

import (
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
)

// memoryLimit is a soft limit, in bytes: collect more often rather than hold
// more than this, so that 10,000 entries are listed in less than 100 MB.
const memoryLimit = 76 << 20

// limitMemory sets the limit, and raises it for as much as is in use: below
// that, the collector would run all the time and free nothing.
func limitMemory() {
	if os.Getenv("GOMEMLIMIT") != "" {
		return
	}
	debug.SetMemoryLimit(memoryLimit)
	afterCollections(func() { raiseLimit(memoryLimit) })
}

// raiseLimit makes the limit a quarter more than is in use, if that is more
// than the given one.
func raiseLimit(least int64) {
	live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(live)
	debug.SetMemoryLimit(max(least, int64(live[0].Value.Uint64())*5/4))
}

// afterCollections calls do soon after each garbage collection.
func afterCollections(do func()) {
	runtime.AddCleanup(new([64]byte), func(do func()) {
		afterCollections(do)
		do()
	}, do)
}
