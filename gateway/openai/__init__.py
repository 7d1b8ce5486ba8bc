"""What OpenAI's API says, in our words and back."""
