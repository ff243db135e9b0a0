// Package money does exact arithmetic on amounts of money. An amount is whole units and billionths of a unit,
// both integers: no amount ever passes through a floating point number.
package money

import (
	"errors"
	"fmt"
	"math"
	"math/big"
	"strings"
)

// The errors of this package. Use [errors.Is].
var (
	ErrInvalid  = errors.New("not an amount of money")
	ErrMismatch = errors.New("amounts in different currencies")
	ErrOverflow = errors.New("amount too large")
)

// Money is an amount in one currency: Units + Nanos / 1,000,000,000. Both have the same sign.
type Money struct {
	Currency string `json:"currency"` // ISO 4217
	Units    int64  `json:"units"`
	Nanos    int32  `json:"nanos"`
}

const billion = 1_000_000_000

// New is units and cents of a currency that has cents.
func New(currency string, units int64, cents int32) Money {
	return Money{Currency: currency, Units: units, Nanos: cents * (billion / 100)}
}

// Check reports what is wrong with an amount that came from outside.
func (m Money) Check() error {
	if len(m.Currency) != 3 || strings.Trim(m.Currency, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != "" {
		return fmt.Errorf("%w: currency %q is not three capital letters", ErrInvalid, m.Currency)
	}
	if m.Nanos <= -billion || m.Nanos >= billion {
		return fmt.Errorf("%w: %d nanos are a unit or more", ErrInvalid, m.Nanos)
	}
	if m.Units > 0 && m.Nanos < 0 || m.Units < 0 && m.Nanos > 0 {
		return fmt.Errorf("%w: units and nanos differ in sign", ErrInvalid)
	}
	return nil
}

// IsZero reports whether the amount is nothing.
func (m Money) IsZero() bool { return m.Units == 0 && m.Nanos == 0 }

// Positive reports whether the amount is more than nothing.
func (m Money) Positive() bool { return m.Units > 0 || m.Nanos > 0 }

// Plus returns m + o.
func (m Money) Plus(o Money) (Money, error) {
	if err := errors.Join(m.Check(), o.Check()); err != nil {
		return Money{}, err
	}
	if m.Currency != o.Currency {
		return Money{}, fmt.Errorf("%w: %s and %s", ErrMismatch, m.Currency, o.Currency)
	}
	return fromNanos(m.Currency, new(big.Int).Add(m.nanos(), o.nanos()))
}

// Times returns m * n.
func (m Money) Times(n int) (Money, error) {
	if err := m.Check(); err != nil {
		return Money{}, err
	}
	return fromNanos(m.Currency, new(big.Int).Mul(m.nanos(), big.NewInt(int64(n))))
}

// Convert returns m in another currency, of which one unit of m's buys rate. The result is rounded to the smallest
// coin of that currency, half to even, so that what a page shows is what is charged and the sums add up.
func (m Money) Convert(currency string, rate *big.Rat) (Money, error) {
	to := Money{Currency: currency}
	if err := errors.Join(m.Check(), to.Check()); err != nil {
		return Money{}, err
	}
	coin := big.NewInt(billion)
	for range Digits(currency) {
		coin.Quo(coin, big.NewInt(10))
	}
	exact := new(big.Rat).SetInt(m.nanos())
	exact.Mul(exact, rate).Quo(exact, new(big.Rat).SetInt(coin))
	return fromNanos(currency, new(big.Int).Mul(round(exact), coin))
}

// Digits is how many decimal places the currency has.
func Digits(currency string) int {
	switch currency {
	case "JPY", "KRW", "ISK":
		return 0
	}
	return 2
}

// String is the amount with as many decimal places as the currency has, and more only where it has more.
func (m Money) String() string {
	n := m.nanos()
	sign := ""
	if n.Sign() < 0 {
		sign = "-"
	}
	units, nanos := new(big.Int).QuoRem(n.Abs(n), big.NewInt(billion), new(big.Int))
	fraction := fmt.Sprintf("%09d", nanos)
	digits := Digits(m.Currency)
	fraction = fraction[:digits] + strings.TrimRight(fraction[digits:], "0")
	if fraction != "" {
		fraction = "." + fraction
	}
	return sign + thousands(units.String()) + fraction + " " + m.Currency
}

// thousands puts a comma between groups of three digits.
func thousands(digits string) string {
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}

func (m Money) nanos() *big.Int {
	n := new(big.Int).Mul(big.NewInt(m.Units), big.NewInt(billion))
	return n.Add(n, big.NewInt(int64(m.Nanos)))
}

func fromNanos(currency string, n *big.Int) (Money, error) {
	units, nanos := new(big.Int).QuoRem(n, big.NewInt(billion), new(big.Int))
	if !units.IsInt64() || units.Int64() == math.MinInt64 {
		return Money{}, fmt.Errorf("%w: %s %s", ErrOverflow, units, currency)
	}
	return Money{Currency: currency, Units: units.Int64(), Nanos: int32(nanos.Int64())}, nil
}

// round returns the nearest integer, the even one of two that are equally near.
func round(r *big.Rat) *big.Int {
	twice := new(big.Int).Mul(r.Num(), big.NewInt(2))
	twice.Add(twice, r.Denom())
	down, rest := new(big.Int).DivMod(twice, new(big.Int).Mul(r.Denom(), big.NewInt(2)), new(big.Int))
	if rest.Sign() == 0 && down.Bit(0) == 1 {
		down.Sub(down, big.NewInt(1))
	}
	return down
}
