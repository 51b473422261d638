package agent

import (
	"context"
	"errors"
	"fmt"
	"math/big"
	"strings"

	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
)

// ToolCalculator is the calculator's name in a run file.
const ToolCalculator = "calculator"

// Calculator works out expressions exactly, over rational numbers. It is a Tool of one result: what an expression is
// worth, or why it is worth nothing; that is the policy's mistake, and no error.
type Calculator struct{}

// Bounds of a calculation: deeper brackets, larger powers and longer numbers are refused before they cost anything.
const (
	calculatorLength = 1000 // bytes of an expression
	calculatorDepth  = 50
	calculatorPower  = 1000
	calculatorBits   = 4000
	calculatorDigits = 12 // behind the point, where a number does not end
)

// Search calculates.
func (Calculator) Search(_ context.Context, expression string, _ int) ([]*pb.SearchResult, error) {
	value, err := calculate(expression)
	if err != nil {
		return []*pb.SearchResult{{Title: expression, Snippet: "cannot be calculated: " + err.Error()}}, nil
	}
	return []*pb.SearchResult{{Title: expression, Snippet: value}}, nil
}

func calculate(expression string) (string, error) {
	if len(expression) > calculatorLength {
		return "", fmt.Errorf("it is longer than %d characters", calculatorLength)
	}
	c := calculation{text: strings.NewReplacer("×", "*", "÷", "/", "−", "-", "^", "**", "_", "").Replace(expression)}
	v, err := c.sum(0)
	if err == nil && c.peek() != 0 {
		err = c.unexpected()
	}
	if err != nil {
		return "", err
	}
	return decimal(v), nil
}

// decimal is a number as it is, if that ends, else rounded and marked so.
func decimal(v *big.Rat) string {
	if v.IsInt() {
		return v.Num().String()
	}
	if n, exact := v.FloatPrec(); exact && n <= 2*calculatorDigits {
		return v.FloatString(n)
	}
	return "about " + v.FloatString(calculatorDigits)
}

// calculation reads an expression and works it out on the way.
type calculation struct {
	text string
	at   int
}

// peek is the next character that is no blank; 0 at the end.
func (c *calculation) peek() byte {
	for c.at < len(c.text) && strings.IndexByte(" \t\r\n", c.text[c.at]) >= 0 {
		c.at++
	}
	if c.at == len(c.text) {
		return 0
	}
	return c.text[c.at]
}

// take skips a text if it comes next.
func (c *calculation) take(text string) bool {
	c.peek()
	if !strings.HasPrefix(c.text[c.at:], text) {
		return false
	}
	c.at += len(text)
	return true
}

func (c *calculation) unexpected() error {
	if c.peek() == 0 {
		return errors.New("it ends too early")
	}
	return fmt.Errorf("%q is no number and no operator", strings.ToValidUTF8(c.text[c.at:min(len(c.text), c.at+20)], ""))
}

// sum is products with + and - between them.
func (c *calculation) sum(depth int) (*big.Rat, error) {
	v, err := c.product(depth)
	for err == nil {
		var w *big.Rat
		switch {
		case c.take("+"):
			if w, err = c.product(depth); err == nil {
				v, err = fits(v.Add(v, w))
			}
		case c.take("-"):
			if w, err = c.product(depth); err == nil {
				v, err = fits(v.Sub(v, w))
			}
		default:
			return v, nil
		}
	}
	return nil, err
}

// product is factors with * and / between them.
func (c *calculation) product(depth int) (*big.Rat, error) {
	v, err := c.factor(depth)
	for err == nil {
		var w *big.Rat
		switch {
		case c.take("*"):
			if w, err = c.factor(depth); err == nil {
				v, err = fits(v.Mul(v, w))
			}
		case c.take("/"):
			if w, err = c.factor(depth); err == nil && w.Sign() == 0 {
				err = errors.New("a division by zero")
			}
			if err == nil {
				v, err = fits(v.Quo(v, w))
			}
		default:
			return v, nil
		}
	}
	return nil, err
}

// factor is a signed number or bracket, perhaps to a power: -2 ** 2 is -4.
func (c *calculation) factor(depth int) (*big.Rat, error) {
	if depth > calculatorDepth {
		return nil, fmt.Errorf("it is nested deeper than %d", calculatorDepth)
	}
	if c.take("+") {
		return c.factor(depth + 1)
	}
	if c.take("-") {
		v, err := c.factor(depth + 1)
		if err != nil {
			return nil, err
		}
		return v.Neg(v), nil
	}
	v, err := c.atom(depth)
	if err != nil || !c.take("**") {
		return v, err
	}
	exponent, err := c.factor(depth + 1)
	if err != nil {
		return nil, err
	}
	return power(v, exponent)
}

func (c *calculation) atom(depth int) (*big.Rat, error) {
	if c.take("(") {
		v, err := c.sum(depth + 1)
		if err == nil && !c.take(")") {
			err = c.unexpected()
		}
		return v, err
	}
	return c.number()
}

// number is digits with a point perhaps, commas between thousands and a percent sign behind.
func (c *calculation) number() (*big.Rat, error) {
	c.peek()
	start := c.at
	for c.at < len(c.text) && (c.text[c.at] >= '0' && c.text[c.at] <= '9' || c.text[c.at] == '.' || c.text[c.at] == ',') {
		c.at++
	}
	v, ok := new(big.Rat).SetString(strings.ReplaceAll(c.text[start:c.at], ",", ""))
	if !ok {
		c.at = start
		return nil, c.unexpected()
	}
	if c.take("%") {
		v.Quo(v, big.NewRat(100, 1))
	}
	return fits(v)
}

func power(v, exponent *big.Rat) (*big.Rat, error) {
	if !exponent.IsInt() || exponent.Num().CmpAbs(big.NewInt(calculatorPower)) > 0 {
		return nil, fmt.Errorf("a power is a whole number up to %d", calculatorPower)
	}
	n := exponent.Num().Int64()
	if n < 0 && v.Sign() == 0 {
		return nil, errors.New("a division by zero")
	}
	if bits := max(v.Num().BitLen(), v.Denom().BitLen()); int64(bits)*max(n, -n) > calculatorBits {
		return nil, errTooLarge
	}
	num, denom := new(big.Int).Exp(v.Num(), big.NewInt(max(n, -n)), nil), new(big.Int).Exp(v.Denom(), big.NewInt(max(n, -n)), nil)
	if n < 0 {
		num, denom = denom, num
	}
	return new(big.Rat).SetFrac(num, denom), nil
}

var errTooLarge = errors.New("the number is too large")

func fits(v *big.Rat) (*big.Rat, error) {
	if v.Num().BitLen() > calculatorBits || v.Denom().BitLen() > calculatorBits {
		return nil, errTooLarge
	}
	return v, nil
}
