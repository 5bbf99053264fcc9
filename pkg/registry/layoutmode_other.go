//go:build !unix

package registry

import "io/fs"

const (
	openNonblock = 0
	openNoFollow = 0
	holdIndex    = false
)

func group(fs.FileInfo) int { return -1 }
