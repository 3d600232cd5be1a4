package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/duckdb/duckdb-go/v2"

	"github.com/qanat-data/qanat/sdk"
)

// valueError is a value of a result that has no place in the output's type.
type valueError struct{ text string }

func (e *valueError) Error() string { return e.text }

// blamesRow says whether an error comes from a value, so that the other rows of the batch may still go on.
func blamesRow(err error) bool {
	if _, ok := errors.AsType[*valueError](err); ok {
		return true
	}
	fault, ok := errors.AsType[*duckdb.Error](err)
	if !ok {
		return false
	}
	switch fault.Type {
	case duckdb.ErrorTypeOutOfRange, duckdb.ErrorTypeConversion, duckdb.ErrorTypeDecimal, duckdb.ErrorTypeMismatchType,
		duckdb.ErrorTypeDivideByZero, duckdb.ErrorTypeObjectSize, duckdb.ErrorTypeInvalidType, duckdb.ErrorTypeExpression,
		duckdb.ErrorTypeInvalidInput:
		return true
	default:
		return false
	}
}

// blamesPlace says whether an error comes from the machine rather than from the query.
func blamesPlace(fault *duckdb.Error) bool {
	switch fault.Type {
	case duckdb.ErrorTypeIO, duckdb.ErrorTypeOutOfMemory, duckdb.ErrorTypeInterrupt, duckdb.ErrorTypeInternal, duckdb.ErrorTypeFatal,
		duckdb.ErrorTypeConnection, duckdb.ErrorTypeTransaction, duckdb.ErrorTypeScheduler:
		return true
	default:
		return false
	}
}

// planFault blames the query for an error that came up while planning, unless the machine or the context is to blame.
func planFault(ctx context.Context, input string, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	text := err.Error()
	if fault, ok := errors.AsType[*duckdb.Error](err); ok {
		if blamesPlace(fault) {
			return runFault(ctx, err)
		}
		text = fault.Msg
	}
	return sdk.ConfigError("/query", "%s%s", input, strings.TrimSpace(text))
}

// runFault is an error that ends the run of a query.
func runFault(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if fault, ok := errors.AsType[*duckdb.Error](err); ok && fault.Type == duckdb.ErrorTypeOutOfMemory {
		return sdk.Fatal(fmt.Errorf("run the query: %w; raise memory_limit or lower threads", err))
	}
	return sdk.Fatal(fmt.Errorf("run the query: %w", err))
}
