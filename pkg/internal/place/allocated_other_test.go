//go:build !unix

package place

import "testing"

// allocated is not known here.
func allocated(*testing.T, string) int64 { return 0 }
