package entry

import (
	"errors"
	"strings"
	"testing"
)

func TestTargetName(t *testing.T) {
	for text, want := range map[string]string{
		"rpi4": "rpi4", "RPI4": "rpi4", " Raspberry-Pi ": "raspberry-pi", "s32g_vnp_rdb3": "s32g_vnp_rdb3", "imx8.1": "imx8.1",
		strings.Repeat("a", maxTarget): strings.Repeat("a", maxTarget),
	} {
		if got, err := TargetName(text); err != nil || got != want {
			t.Errorf("%q: got %q, error %v; want %q", text, got, err, want)
		}
	}
	for _, text := range []string{"", " ", "Raspberry Pi", "rpi4:verified", "a/b", "a,b", "a\nb", "br\u00e4u", strings.Repeat("a", maxTarget+1)} {
		if got, err := TargetName(text); got != "" || !errors.Is(err, ErrTarget) || !errors.Is(err, ErrInvalid) {
			t.Errorf("%q: got %q, error %v; want an ErrTarget, which is an ErrInvalid", text, got, err)
		}
	}
}

func TestSameTarget(t *testing.T) {
	for _, pair := range [][2]string{{"RPI4", "rpi4"}, {"Raspberry Pi", "raspberry pi "}} {
		if !SameTarget(pair[0], pair[1]) {
			t.Errorf("%q and %q are two targets, want one", pair[0], pair[1])
		}
	}
	if SameTarget("rpi4", "rpi5") {
		t.Error("rpi4 and rpi5 are one target, want two")
	}
}
