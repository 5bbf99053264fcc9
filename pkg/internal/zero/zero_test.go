package zero

import "testing"

func TestAll(t *testing.T) {
	for _, size := range []int{0, 1, Block, 64 << 10, 64<<10 + 1, 200_000} {
		p := make([]byte, size)
		if !All(p) {
			t.Errorf("%d zeros are none", size)
		}
		for _, at := range []int{0, size / 2, size - 1} {
			if size == 0 {
				continue
			}
			p[at] = 1
			if All(p) {
				t.Errorf("%d bytes are zero, with a one at %d", size, at)
			}
			p[at] = 0
		}
	}
}

func TestRun(t *testing.T) {
	const b = Block
	for _, tt := range []struct {
		at     int64
		size   int
		ones   []int
		zero   bool
		length int
	}{
		{0, 1, nil, true, 1},
		{0, 3 * b, nil, true, 3 * b},
		{5, 3 * b, nil, true, 3 * b},
		{0, 3 * b, []int{2*b + 7}, true, 2 * b},
		{10, 3 * b, []int{2 * b}, true, 2*b - 10},
		{10, 3 * b, []int{b - 11}, false, b - 10},
		{0, 3*b + 1, []int{0, b, 2 * b}, false, 3 * b},
		{0, 3*b + 1, []int{0, b, 2 * b, 3 * b}, false, 3*b + 1},
		{b - 1, 2, []int{1}, true, 1},
		{b - 1, 2, []int{0}, false, 1},
	} {
		p := make([]byte, tt.size)
		for _, at := range tt.ones {
			p[at] = 1
		}
		if zero, n := Run(p, tt.at); zero != tt.zero || n != tt.length {
			t.Errorf("%d bytes at %d with ones at %v: got %v for %d, want %v for %d", tt.size, tt.at, tt.ones, zero, n, tt.zero, tt.length)
		}
	}
}
