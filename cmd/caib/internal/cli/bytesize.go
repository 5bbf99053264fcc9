package cli

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// byteSize is a flag of a number of bytes, with or without a binary unit.
type byteSize int64

func (b *byteSize) Type() string { return "SIZE" }

func (b *byteSize) String() string {
	if *b == 0 {
		return ""
	}
	return fmt.Sprint(int64(*b))
}

// units are those that tables use, and their short forms.
var units = map[string]int64{
	"": 1, "b": 1, "k": 1 << 10, "kib": 1 << 10, "m": 1 << 20, "mib": 1 << 20, "g": 1 << 30, "gib": 1 << 30, "t": 1 << 40, "tib": 1 << 40,
}

func (b *byteSize) Set(text string) error {
	number := strings.TrimRight(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
	unit, known := units[strings.ToLower(text[len(number):])]
	value, err := strconv.ParseInt(strings.TrimSpace(number), 10, 64)
	if !known || err != nil || value <= 0 || value > math.MaxInt64/unit {
		return errors.New("want a number of bytes above 0, with or without a unit: 512MiB, 16GiB, 1TiB")
	}
	*b = byteSize(value * unit)
	return nil
}
