package server

import (
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/opencontainers/go-digest"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/registry"
)

const (
	defaultLimit = 20
	maxLimit     = 1000
	maxQuery     = 4096 // bytes
	maxFilters   = 64   // targets, tags, labels and verdicts of one query
)

func badQuery(format string, args ...any) error {
	return fmt.Errorf("%w: query: %s", entry.ErrInvalid, fmt.Sprintf(format, args...))
}

// parseValues reads a query whose parameters are all among those allowed, and
// only those of several given more than once.
func parseValues(raw string, several []string, once ...string) (url.Values, error) {
	if len(raw) > maxQuery {
		return nil, badQuery("longer than %d bytes", maxQuery)
	}
	values, err := url.ParseQuery(raw)
	if err != nil {
		return nil, badQuery("malformed")
	}
	for _, key := range slices.Sorted(maps.Keys(values)) {
		switch {
		case slices.Contains(several, key):
		case !slices.Contains(once, key):
			return nil, badQuery("unknown parameter %q", printable(key))
		case len(values[key]) > 1:
			return nil, badQuery("%s is given twice", key)
		}
		for _, value := range values[key] {
			if !utf8.ValidString(value) || strings.ContainsFunc(value, func(r rune) bool { return r < 0x20 || r == 0x7f }) {
				return nil, badQuery("%s is not plain text", key)
			}
			if value == "" {
				return nil, badQuery("%s is empty", key)
			}
		}
	}
	return values, nil
}

// printable keeps a stranger's word short and quotable.
func printable(text string) string {
	if len(text) > 64 {
		text = text[:64]
	}
	return strings.ToValidUTF8(text, "?")
}

// parseMoment reads a time, a date or an age; "" is none. moving is the text of an
// age: what it stands for moves on with the clock.
func parseMoment(values url.Values, key string) (at time.Time, moving string, err error) {
	text := values.Get(key)
	if text == "" {
		return at, "", nil
	}
	if at, err = entry.ParseTime(text, time.Now()); err != nil {
		return at, "", badQuery("%s %q: want a time such as 2026-03-01T12:00:00Z, a date, or an age such as 3d", key, printable(text))
	}
	if !strings.Contains(text, "-") { // as every date has
		moving = text
	}
	return at, moving, nil
}

// parseBool reads a parameter that is true or false; "" leaves it as it is.
func parseBool(values url.Values, key string, into *bool) error {
	switch text := values.Get(key); text {
	case "":
	case "true", "false":
		*into = text == "true"
	default:
		return badQuery("%s %q: want true or false", key, printable(text))
	}
	return nil
}

// parseImage reads the parameter image; "" is none.
func parseImage(text string) (string, error) {
	if text == "" || digest.Digest(text).Validate() == nil {
		return text, nil
	}
	ref, err := registry.ParseReference(text)
	if err != nil || ref.Layout != "" {
		return "", badQuery("image %q: want REPOSITORY:TAG, REPOSITORY@DIGEST or a digest", printable(text))
	}
	return text, nil
}

// parseCount reads a number of things to leave out; "" is none.
func parseCount(text string) (int, error) {
	if text == "" {
		return 0, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 {
		return 0, badQuery("from %q: want a number", printable(text))
	}
	return n, nil
}
