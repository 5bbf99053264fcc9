package ocilog

import "testing"

// BenchmarkColdRead reads a catalog of 1,000 entries without any cache.
func BenchmarkColdRead(b *testing.B) {
	target, c := newMemory(), &clock{}
	fill(b, target, c, 1000)
	for b.Loop() {
		if names, _ := live(b, newLog(target, "bench", Options{})); len(names) != 1000 {
			b.Fatal(len(names))
		}
	}
}
