"""What the platform says about itself while it works (遥测): metrics and traces, never a value of anybody's data."""
