package revision

import "testing"

func BenchmarkUnpack(b *testing.B) {
	p, err := Pack(sampleDocument("autosd-qemu"), Seen{})
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(p.Manifest)))
	for b.Loop() {
		if _, err := Unpack(p.Tag, p.Manifest); err != nil {
			b.Fatal(err)
		}
	}
}
