"""What a customer does with what he has bought: look, change, cancel, pay, get money back."""
