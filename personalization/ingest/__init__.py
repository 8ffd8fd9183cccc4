"""Events on their way in: `message` reads them, `pipeline` judges them, `store` keeps them. HTTP is only one door."""
