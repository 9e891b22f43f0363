package config

import (
	"math"
	"testing"
)

func TestParseSize(t *testing.T) {
	tests := []struct {
		text string
		want int64
	}{
		{"0", 0},
		{"17", 17},
		{"17B", 17},
		{"8kB", 8 << 10},
		{"512MB", 512 << 20},
		{"1GB", 1 << 30},
		{"2 TB", 2 << 40},
		{" 1 GB ", 1 << 30},
		{"9223372036854775807", math.MaxInt64},
		{"8388607TB", 8388607 << 40},
	}
	for _, test := range tests {
		if got, err := ParseSize(test.text); err != nil || got != test.want {
			t.Errorf("%q is %d, %v; want %d", test.text, got, err, test.want)
		}
	}
	for _, text := range []string{"", "GB", "1gb", "1KB", "1K", "-1", "+1", "1.5GB", "1e3", "0x10", "1_000", "9223372036854775808", "8388608TB", "1GBGB", "1 0"} {
		if got, err := ParseSize(text); err == nil {
			t.Errorf("%q was read as %d", text, got)
		}
	}
}

func TestFormatSizeIsReadBack(t *testing.T) {
	for _, size := range []int64{0, 1, 1023, 1024, 1 << 20, 3 << 29, 1 << 30, 5 << 40, math.MaxInt64} {
		if got, err := ParseSize(FormatSize(size)); err != nil || got != size {
			t.Errorf("%d became %s and then %d, %v", size, FormatSize(size), got, err)
		}
	}
}
