package entry

import (
	"fmt"
	"strings"
)

// maxName bounds a name, in characters.
const maxName = 96

// What a name is made of.
const (
	nameEnds   = "0123456789abcdefghijklmnopqrstuvwxyz"
	nameInside = nameEnds + "-."
)

// CheckName reports whether name can be an entry's name: lower-case letters,
// digits, "-" and ".", at most 96 characters. The error is an ErrName.
func CheckName(name string) error {
	// Not a regular expression: this runs for every tag of a catalog.
	valid := name != "" && len(name) <= maxName && strings.Trim(name, nameInside) == "" &&
		strings.Contains(nameEnds, name[:1]) && strings.Contains(nameEnds, name[len(name)-1:])
	if !valid {
		return &nameError{shorten(name)}
	}
	return nil
}

// nameError is an ErrName.
type nameError struct{ name string }

func (e *nameError) Error() string {
	return fmt.Sprintf("%v: name %q: want at most %d of a-z, 0-9, '-' and '.', beginning and ending with a letter or digit", ErrInvalid, e.name, maxName)
}

func (e *nameError) Unwrap() error { return ErrName }

// shorten cuts a value that may be megabytes long to what a message can hold.
func shorten(text string) string {
	const most = 200
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "") + "…"
}
