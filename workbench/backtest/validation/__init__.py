"""Telling skill from luck: deflated ratios, overfitting, bootstrap, windows and folds, and rules that look ahead."""
