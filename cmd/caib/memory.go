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
// that, the collector would run all the time and free nothing. Once somebody else
// sets a limit, as a server does, it is left alone.
func limitMemory() {
	if os.Getenv("GOMEMLIMIT") != "" {
		return
	}
	debug.SetMemoryLimit(memoryLimit)
	afterCollections(raising(memoryLimit))
}

// raising returns what raises the limit as long as it is the one that it set, which is
// least at first.
func raising(least int64) func() {
	last := least
	return func() {
		if debug.SetMemoryLimit(-1) == last {
			last = raiseLimit(least)
		}
	}
}

// raiseLimit makes the limit a quarter more than is in use, if that is more
// than the given one, and returns it.
func raiseLimit(least int64) int64 {
	live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(live)
	limit := max(least, int64(live[0].Value.Uint64())*5/4)
	debug.SetMemoryLimit(limit)
	return limit
}

// afterCollections calls do soon after each garbage collection.
func afterCollections(do func()) {
	runtime.AddCleanup(new([64]byte), func(do func()) {
		afterCollections(do)
		do()
	}, do)
}
