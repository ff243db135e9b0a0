package money

import (
	"errors"
	"math"
	"math/big"
	"testing"
)

func eur(units int64, nanos int32) Money { return Money{"EUR", units, nanos} }

func TestMoney_Check(t *testing.T) {
	for _, m := range []Money{eur(1, 1), eur(-1, -1), eur(0, -1), eur(0, 999_999_999), New("JPY", 5, 0)} {
		if err := m.Check(); err != nil {
			t.Errorf("%+v: %v", m, err)
		}
	}
	for _, m := range []Money{{}, {"eur", 1, 0}, {"EURO", 1, 0}, eur(1, -1), eur(-1, 1), eur(0, 1_000_000_000), eur(0, -1_000_000_000)} {
		if err := m.Check(); !errors.Is(err, ErrInvalid) {
			t.Errorf("%+v: %v", m, err)
		}
	}
}

func TestMoney_Plus(t *testing.T) {
	for _, c := range []struct{ a, b, want Money }{
		{eur(1, 500_000_000), eur(2, 500_000_000), eur(4, 0)},
		{eur(1, 100_000_000), eur(-2, 0), eur(0, -900_000_000)},
		{eur(-1, -999_999_999), eur(0, -1), eur(-2, 0)},
		{eur(0, 100_000_000), eur(0, 200_000_000), eur(0, 300_000_000)}, // what a float does not get right
	} {
		if got, err := c.a.Plus(c.b); err != nil || got != c.want {
			t.Errorf("%v + %v: got %v, %v, want %v", c.a, c.b, got, err, c.want)
		}
	}
	if _, err := eur(1, 0).Plus(New("USD", 1, 0)); !errors.Is(err, ErrMismatch) {
		t.Error(err)
	}
	if _, err := eur(math.MaxInt64, 0).Plus(eur(1, 0)); !errors.Is(err, ErrOverflow) {
		t.Error(err)
	}
	if _, err := eur(1, 0).Plus(eur(1, -1)); !errors.Is(err, ErrInvalid) {
		t.Error(err)
	}
}

func TestMoney_Times(t *testing.T) {
	if got, err := New("EUR", 39, 90).Times(3); err != nil || got != New("EUR", 119, 70) {
		t.Error(got, err)
	}
	if got, err := eur(1, 1).Times(0); err != nil || !got.IsZero() || got.Positive() {
		t.Error(got, err)
	}
	if _, err := eur(math.MaxInt64/2, 0).Times(3); !errors.Is(err, ErrOverflow) {
		t.Error(err)
	}
	if _, err := (Money{}).Times(3); !errors.Is(err, ErrInvalid) {
		t.Error(err)
	}
}

func TestMoney_Convert(t *testing.T) {
	for _, c := range []struct {
		from Money
		to   string
		rate *big.Rat
		want Money
	}{
		{New("EUR", 10, 0), "USD", big.NewRat(11425, 10000), eurIn("USD", 11, 420_000_000)},    // 11.425: the even cent
		{New("EUR", 10, 0), "USD", big.NewRat(11435, 10000), eurIn("USD", 11, 440_000_000)},    // 11.435: the even cent
		{New("EUR", 1, 0), "GBP", big.NewRat(1, 3), eurIn("GBP", 0, 330_000_000)},              // 0.333…
		{New("EUR", -10, 0), "USD", big.NewRat(11425, 10000), eurIn("USD", -11, -420_000_000)}, // the same the other way
		{New("EUR", 18, 50), "JPY", big.NewRat(16824, 100), eurIn("JPY", 3112, 0)},             // 3112.44, and there is no coin for that
	} {
		if got, err := c.from.Convert(c.to, c.rate); err != nil || got != c.want {
			t.Errorf("%v: got %v, %v, want %v", c.from, got, err, c.want)
		}
	}
	if _, err := New("EUR", 1, 0).Convert("x", big.NewRat(1, 1)); !errors.Is(err, ErrInvalid) {
		t.Error(err)
	}
	if _, err := eur(math.MaxInt64, 0).Convert("JPY", big.NewRat(168, 1)); !errors.Is(err, ErrOverflow) {
		t.Error(err)
	}
}

func eurIn(currency string, units int64, nanos int32) Money { return Money{currency, units, nanos} }

func TestMoney_String(t *testing.T) {
	for want, m := range map[string]Money{
		"12.50 EUR":            New("EUR", 12, 50),
		"1,234,567.00 USD":     New("USD", 1234567, 0),
		"100.00 EUR":           New("EUR", 100, 0),
		"-0.01 EUR":            eur(0, -10_000_000),
		"0.015 EUR":            eur(0, 15_000_000),
		"3,112 JPY":            {"JPY", 3112, 0},
		"3,112.4 JPY":          {"JPY", 3112, 400_000_000},
		"0.00 EUR":             eur(0, 0),
		"0.000000001 EUR":      eur(0, 1),
		"-1,000.999999999 SEK": {"SEK", -1000, -999_999_999},
	} {
		if got := m.String(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

// Sums do not depend on the order, and taking away what was added gives what was there.
func FuzzMoney_Plus(f *testing.F) {
	f.Add(int64(1), int32(5), int64(-2), int32(-7))
	f.Fuzz(func(t *testing.T, au int64, an int32, bu int64, bn int32) {
		a, b := eur(au, an), eur(bu, bn)
		ab, err := a.Plus(b)
		ba, err2 := b.Plus(a)
		if ab != ba || (err == nil) != (err2 == nil) {
			t.Fatalf("%v + %v: %v, %v and %v, %v", a, b, ab, err, ba, err2)
		}
		if err != nil {
			return
		}
		if err := ab.Check(); err != nil {
			t.Fatal(err)
		}
		if minus, err := b.Times(-1); err == nil {
			if back, err := ab.Plus(minus); err == nil && back != a {
				t.Fatalf("%v + %v - %v = %v", a, b, b, back)
			}
		}
	})
}
